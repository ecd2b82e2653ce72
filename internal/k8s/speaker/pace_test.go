package speaker

import (
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
)

// What all speakers have to write at the same time must not grow into a storm with their number.
func TestWritesOfAllAreSpreadOverATimeThatGrowsWithThem(t *testing.T) {
	for _, members := range []int32{17, 200, 500, 2_000} {
		least, jitter := waitOf(statusOf(members+1), statusOf(members))
		if rate := float64(members) / jitter.Seconds(); rate > 50 || least < time.Second || jitter < gossipJitter {
			t.Errorf("%d speakers write %.0f times a second after %v, for %v", members, rate, least, jitter)
		}
	}
}

func statusOf(members int32) v1alpha1.SpeakerStatus {
	return v1alpha1.SpeakerStatus{Gossip: &v1alpha1.GossipStatus{Members: members}}
}
