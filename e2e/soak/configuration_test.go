package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// pool grows the pool of the segment by addresses that come last, and shrinks it again: nobody's address changes.
func (l *life) pool(ctx context.Context) error {
	pools := l.Fairlead.FairleadV1alpha1().IPAddressPools()
	before, err := pools.Get(ctx, fleet.SegmentPool, metav1.GetOptions{})
	if err != nil {
		return err
	}
	set := func(list []v1alpha1.AddressRange) error {
		text := ""
		for i, a := range list {
			if i > 0 {
				text += ", "
			}
			text += fmt.Sprintf("%q", a)
		}
		_, err := pools.Patch(ctx, fleet.SegmentPool, types.MergePatchType, []byte(`{"spec": {"addresses": [`+text+`]}}`), metav1.PatchOptions{})
		return err
	}
	if err := set(append(before.Spec.Addresses, "192.0.2.230-192.0.2.239")); err != nil {
		return err
	}
	if err := lab.Pause(ctx, 3*time.Second); err != nil {
		return err
	}
	return set(before.Spec.Addresses)
}

// spare makes a pool, and deletes it.
func (l *life) spare(ctx context.Context) error {
	err := l.Apply(ctx, []byte(`
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: spare}
spec: {addresses: ["192.0.2.240-192.0.2.249"], autoAssign: false}
`))
	if err != nil {
		return err
	}
	if err := lab.Pause(ctx, 3*time.Second); err != nil {
		return err
	}
	return l.Fairlead.FairleadV1alpha1().IPAddressPools().Delete(ctx, "spare", metav1.DeleteOptions{})
}

// communities edits what routes carry. They stay, and so do the sessions.
func (l *life) communities(ctx context.Context, r *rand.Rand) error {
	_, err := l.Fairlead.FairleadV1alpha1().BGPAdvertisements().Patch(ctx, fleet.RoutedPool, types.MergePatchType,
		fmt.Appendf(nil, `{"spec": {"communities": ["65000:%d"]}}`, 1+r.IntN(1000)), metav1.PatchOptions{})
	return err
}

// connectTime edits a timer of a peer that no session is opened with.
func (l *life) connectTime(ctx context.Context, r *rand.Rand) error {
	return l.editPeer(ctx, l.Routers[r.IntN(len(l.Routers))], fmt.Sprintf(`{"spec": {"connectTime": "%ds"}}`, 1+r.IntN(3)))
}

func (l *life) editPeer(ctx context.Context, r *lab.Router, patch string) error {
	_, err := l.Fairlead.FairleadV1alpha1().BGPPeers().Patch(ctx, r.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// holdTime edits one that each session is opened with: they are opened anew, all at once. Under graceful restart the router
// goes on forwarding. Without, it has no route until they are back.
func (l *life) holdTime(ctx context.Context, r *rand.Rand) error {
	router := l.Routers[r.IntN(len(l.Routers))]
	if l.Way(router) != fleet.Graceful {
		defer l.diary.begin(cause{what: "the hold time of " + router.Name, ways: []string{l.Way(router)}, kinds: []kind{broken, failed}, outage: true})()
	}
	begin := time.Now()
	if err := lab.Pause(ctx, time.Second-time.Duration(begin.Nanosecond())); err != nil { // statuses have whole seconds
		return err
	}
	begin = time.Now().Truncate(time.Second)
	if err := l.editPeer(ctx, router, fmt.Sprintf(`{"spec": {"holdTime": "%ds", "keepaliveTime": "3s"}}`, l.otherHold(router))); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, letGo)
	defer cancel()
	err := await(limited, func() error {
		for _, n := range l.Nodes {
			s, err := l.Fairlead.FairleadV1alpha1().Speakers().Get(limited, n.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			for _, b := range s.Status.BGPSessions {
				if b.Peer == router.Name && (b.State != v1alpha1.BGPSessionEstablished || b.EstablishedTime == nil || b.EstablishedTime.Time.Before(begin)) {
					return fmt.Errorf("%s: %s since %v", n.Name, b.State, b.EstablishedTime)
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("waiting for new sessions with %s: %w", router.Name, err)
	}
	for _, n := range l.Nodes {
		if err := l.hops(ctx, n, true); err != nil {
			return err
		}
	}
	return lab.Pause(ctx, showing)
}

// otherHold is another hold time of a router than the last one.
func (l *life) otherHold(r *lab.Router) int {
	l.hold[r.Name] = 9 + 12 - max(l.hold[r.Name], 9)
	return l.hold[r.Name]
}
