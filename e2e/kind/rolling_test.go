//go:build kind

package kind

import (
	"time"
)

const (
	// established connections, and new ones a second, while things happen.
	established = 100
	perSecond   = 100
)

// rolling restarts all speakers, and moves them to another image and back, while clients use the addresses.
func (w *world) rolling(t *attempt) {
	w.stand(t)
	w.spread(t)
	for _, update := range []struct {
		what string
		do   []string
	}{
		{"a restart", []string{"rollout", "restart", "daemonset/fairlead-speaker", "--namespace", namespace}},
		{"another image", []string{"set", "image", "daemonset/fairlead-speaker", "speaker=ghcr.io/fairlead-lb/speaker:again", "--namespace", namespace}},
		{"the manifest as it was", []string{"apply", "--filename", manifest}},
	} {
		l := w.client.load(t, established, perSecond, w.addresses...)
		begin := time.Now()
		kubectl(t, update.do...)
		w.awaitRollout(t, "daemonset/fairlead-speaker")
		t.Logf("%s: %.1f s", update.what, time.Since(begin).Seconds())
		w.awaitSpeakers(t, 20*time.Second)
		l.flawless(t)
		w.stay(t)
		w.speakersAgree(t)
	}
	w.noRestarts(t)
}
