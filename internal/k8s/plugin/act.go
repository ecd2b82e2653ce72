package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/k8s/speaker"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Waiting says whether and how to wait for what was asked for.
type Waiting struct {
	Wait bool
	// Timeout of a wait; 0 for none.
	Timeout time.Duration
	// Say tells the user something, a line.
	Say func(format string, args ...any)
}

// lookEvery is how often a Speaker is looked at while one waits for it. Its own pace is a write a second.
const lookEvery = 250 * time.Millisecond

// withdrawn is how long after it is asked for a drained node has withdrawn its routes, whatever its status says:
// it asks routers to go elsewhere first, for 10 s, and how much a peer has is written at a slow pace.
const withdrawn = 15 * time.Second

// Drain has a node give up its addresses and withdraw its routes, and waits until it has.
func Drain(ctx context.Context, c *k8s.Cluster, class, name string, w Waiting) error {
	node, err := getNode(ctx, c, name)
	if err != nil {
		return err
	}
	s, err := LoadSegment(ctx, c, class)
	if err != nil {
		return err
	}
	before, stuck := LeftOn(s.Speakers, name), WouldStick(s, name)
	start := time.Now()
	if Drained(node) {
		w.Say("node %s is drained already; it owns %s%s", name, counting(before.Owned, "address", "addresses"), before.advertising(" and advertises to "))
	} else {
		if err := annotateNode(ctx, c, name, drainValue); err != nil {
			return err
		}
		w.Say("node %s: %s to move%s", name, counting(before.Owned, "address", "addresses"), before.advertising(", and routes to withdraw from "))
	}
	for _, n := range s.Notes {
		w.Say("note: %s", n)
	}
	for _, x := range stuck {
		w.Say("%s", x)
	}
	if !w.Wait {
		return nil
	}
	left := before
	err = w.until(ctx, func(ctx context.Context) (bool, error) {
		now, err := leftOn(ctx, c, name)
		if err != nil {
			return false, err
		}
		if now.Owned != left.Owned && now.Owned > 0 {
			w.Say("node %s: %d left", name, now.Owned)
		}
		left = now
		_, over := kept(now, stuck)
		return over && (len(now.Peers) == 0 || time.Since(start) > withdrawn), nil
	}, func() error {
		if left.Owned == 0 {
			return fmt.Errorf("node %s%s after %s; it stays drained", name, left.advertising(" still advertises to "), w.Timeout)
		}
		return fmt.Errorf("node %s still owns %s after %s: %s; it stays drained", name, counting(left.Owned, "address", "addresses"), w.Timeout,
			strings.Join(texts(left.Addresses), ", "))
	})
	if err != nil {
		return err
	}
	if stays, _ := kept(left, stuck); len(stays) > 0 {
		return fmt.Errorf("node %s keeps %s, which no other node may own; it stays drained", name, enumerate(texts(stays)))
	}
	w.Say("node %s owns no address%s now: it took %.1f s", name, before.advertising(", and advertises none to "), time.Since(start).Seconds())
	return nil
}

// Undrain lets a node own addresses again.
func Undrain(ctx context.Context, c *k8s.Cluster, name string, w Waiting) error {
	node, err := getNode(ctx, c, name)
	if err != nil {
		return err
	}
	if !Drained(node) {
		w.Say("node %s is not drained", name)
	} else {
		if err := annotateNode(ctx, c, name, nil); err != nil {
			return err
		}
		delete(node.Annotations, v1alpha1.AnnotationDrain)
		w.Say("node %s is drained no longer. What moved away stays where it is; kubectl fairlead rebalance spreads it anew", name)
	}
	if why := speaker.Barred(node); why != "" {
		w.Say("node %s owns nothing all the same: %s", name, why)
	}
	return nil
}

// Rebalance has the nodes spread the addresses of L2Advertisements anew, of all for no names.
func Rebalance(ctx context.Context, c *k8s.Cluster, class string, names []string, w Waiting) error {
	look := func(ctx context.Context) ([]Spread, error) {
		s, err := Load(ctx, c, class, "")
		if err == nil {
			err = s.LoadLayer2(ctx, c)
		}
		if err != nil {
			return nil, err
		}
		if len(s.Unread) > 0 {
			return nil, errors.New(s.Notes[0])
		}
		return Spreads(s, names)
	}
	spreads, err := look(ctx)
	if err != nil {
		return err
	}
	if len(spreads) == 0 {
		return errors.New("there is no L2Advertisement")
	}
	for _, x := range spreads {
		w.Say("%s", x)
	}
	w.Say("%s", foresee(spreads))
	for _, x := range spreads {
		_, err := c.Fairlead.FairleadV1alpha1().L2Advertisements().Patch(ctx, x.Advertisement, types.MergePatchType,
			annotation(v1alpha1.AnnotationRebalance, time.Now().UTC().Format(time.RFC3339)), metav1.PatchOptions{})
		if err != nil {
			return troubleTo("patch", "L2Advertisement "+x.Advertisement, err)
		}
		w.Say("%s: asked to rebalance", x.Advertisement)
	}
	if !w.Wait {
		return nil
	}
	var watch settled
	watch.see(spreads, time.Now())
	return w.until(ctx, func(ctx context.Context) (bool, error) {
		spreads, err := look(ctx)
		if err != nil {
			return false, err
		}
		changed, over := watch.see(spreads, time.Now())
		if changed {
			for _, x := range spreads {
				w.Say("%s", x)
			}
		}
		if over != "" {
			w.Say("%s", over)
		}
		return over != "", nil
	}, func() error { return fmt.Errorf("not spread after %s; the nodes go on", w.Timeout) })
}

// until looks again and again until it is done. An API server that is away for a moment does not end the wait.
func (w Waiting) until(ctx context.Context, look func(context.Context) (bool, error), late func() error) error {
	var timeout <-chan time.Time
	if w.Timeout > 0 {
		timer := time.NewTimer(w.Timeout)
		defer timer.Stop()
		timeout = timer.C
	}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var failed error
	for {
		done, err := look(ctx)
		switch {
		case done:
			return nil
		case err != nil && (ctx.Err() != nil || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err)):
			return err
		case err != nil && failed == nil:
			w.Say("waiting on: %v", err)
		}
		failed = err
		select {
		case <-ctx.Done():
			return errors.New("interrupted; what was asked for stays asked for")
		case <-timeout:
			if failed != nil {
				return failed
			}
			return late()
		case <-ticker.C:
		}
	}
}

// leftOn is LeftOn of the cluster. As long as the node's own speaker answers for addresses, the others need not
// be read.
func leftOn(ctx context.Context, c *k8s.Cluster, node string) (Left, error) {
	own, err := c.Fairlead.FairleadV1alpha1().Speakers().Get(ctx, node, metav1.GetOptions{})
	if err == nil && own.Status.Layer2 != nil && own.Status.Layer2.Owned > 0 {
		return LeftOn([]*v1alpha1.Speaker{own}, node), nil
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return Left{}, trouble("Speaker "+node, err)
	}
	all, err := LoadSpeakers(ctx, c)
	return LeftOn(all, node), err
}

func getNode(ctx context.Context, c *k8s.Cluster, name string) (*corev1.Node, error) {
	node, err := c.Core.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, noSuch("Node", name)
	}
	return node, trouble("Node "+name, err)
}

// annotateNode sets the annotation that drains, or removes it for nil.
func annotateNode(ctx context.Context, c *k8s.Cluster, name string, value any) error {
	_, err := c.Core.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, annotation(v1alpha1.AnnotationDrain, value), metav1.PatchOptions{})
	return troubleTo("patch", "Node "+name, err)
}

// annotation is a merge patch (RFC 7386) that sets an annotation, or removes it for nil.
func annotation(name string, value any) []byte {
	data, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{name: value}}})
	if err != nil {
		panic(err) // a string, or nil
	}
	return data
}

// Saying returns what tells the user things on a writer, each from the start of a line, wrapped to width; 0 for none.
func Saying(out io.Writer, width int) func(format string, args ...any) {
	return func(format string, args ...any) { _ = writeParagraph(out, width, fmt.Sprintf(format, args...)) }
}
