package page

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned"
	"github.com/fairlead-lb/fairlead/internal/page"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// follower is a viewer without a browser: it holds the state as a controller's stream says it.
type follower struct {
	mu     sync.Mutex
	state  *page.State
	events map[string]int
	err    error
}

// follow follows a controller's stream until the test ends.
func follow(ctx context.Context, t *testing.T, l *lab.Lab, port int) *follower {
	t.Helper()
	f := &follower{events: map[string]int{}}
	client := http.Client{Transport: l.CP.HTTPTransport()}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/ui/stream", port), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("the stream: %s", response.Status)
	}
	go func() {
		defer response.Body.Close()
		reader := bufio.NewReader(response.Body)
		for {
			name, data, err := readEvent(reader)
			if err == nil {
				err = f.take(name, data)
			}
			if err != nil {
				f.mu.Lock()
				f.err = err
				f.mu.Unlock()
				return
			}
		}
	}()
	return f
}

func readEvent(reader *bufio.Reader) (name string, data []byte, err error) {
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return "", nil, err
		}
		switch line = strings.TrimSuffix(line, "\n"); {
		case line == "":
			return name, data, nil
		case strings.HasPrefix(line, "event: "):
			name = line[len("event: "):]
		case strings.HasPrefix(line, "data: "):
			data = []byte(line[len("data: "):])
		}
	}
}

func (f *follower) take(name string, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events[name]++
	switch name {
	case "snapshot":
		f.state = page.NewState()
		return json.Unmarshal(data, f.state)
	case "change":
		var c page.Change
		if err := json.Unmarshal(data, &c); err != nil {
			return err
		}
		if !f.state.Merge(&c) {
			return fmt.Errorf("a change that changes nothing: %s", data)
		}
	}
	return nil
}

// await waits until the state is as somebody says: it returns what is missing, empty if nothing is.
func (f *follower) await(ctx context.Context, t *testing.T, what string, missing func(*page.State) string) {
	t.Helper()
	why := "there is no snapshot"
	for {
		f.mu.Lock()
		if f.err != nil {
			t.Fatalf("%s: the stream ended: %v", what, f.err)
		}
		if f.state != nil {
			why = missing(f.state)
		}
		f.mu.Unlock()
		if why == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %s", what, why)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// TestStream follows a leader and the one that stands by, while Services come, wait and go and a node is lost, and
// holds what both say against what kubectl sees.
func TestStream(t *testing.T) {
	l := startLab(t, lab.Config{Nodes: 3, Controllers: 2})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	fairlead, err := versioned.NewForConfig(l.RESTConfig())
	must(t, err)
	pools := fairlead.FairleadV1alpha1().IPAddressPools()
	pool := &v1alpha1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "small"}, Spec: v1alpha1.IPAddressPoolSpec{
		Addresses: []v1alpha1.AddressRange{"192.0.2.200-192.0.2.219"}}}
	_, err = pools.Create(ctx, pool, metav1.CreateOptions{})
	must(t, err)
	_, err = fairlead.FairleadV1alpha1().L2Advertisements().Create(ctx, &v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "all"}}, metav1.CreateOptions{})
	must(t, err)

	foreign, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/ui/stream", lab.ControllerHTTPPort), nil)
	must(t, err)
	foreign.Host = "rebound.example"
	refused, err := (&http.Client{Transport: l.CP.HTTPTransport()}).Do(foreign)
	must(t, err)
	if refused.Body.Close(); refused.StatusCode != http.StatusForbidden {
		t.Errorf("by a foreign name: %s", refused.Status)
	}

	var followers []*follower
	for i := range l.Controllers {
		followers = append(followers, follow(ctx, t, l, lab.ControllerHTTPPort+i))
	}
	services := l.Kubernetes.CoreV1().Services("default")
	create := func(name string) {
		_, err := services.Create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, AllocateLoadBalancerNodePorts: ptr.To(false), Ports: []corev1.ServicePort{{Port: 80}},
		}}, metav1.CreateOptions{})
		must(t, err)
	}
	same := func(what string, settled func(*page.State) string) {
		t.Helper()
		for _, f := range followers {
			f.await(ctx, t, what, func(s *page.State) string {
				if why := settled(s); why != "" {
					return why
				}
				return differs(ctx, t, l, fairlead, s)
			})
		}
	}
	count := func(status string, want int) func(*page.State) string {
		return func(s *page.State) string {
			n := 0
			for _, svc := range s.Services {
				if svc.Status == status {
					n++
				}
			}
			if n != want {
				return fmt.Sprintf("%d Services are %s, not %d", n, status, want)
			}
			return ""
		}
	}

	for i := range 25 {
		create(fmt.Sprintf("s%02d", i))
	}
	same("25 Services for 20 addresses", count(page.Assigned, 20))
	same("those that wait", count(page.Pending, 5))
	for i := range 10 {
		must(t, services.Delete(ctx, fmt.Sprintf("s%02d", i), metav1.DeleteOptions{}))
	}
	same("10 that go make room", count(page.Assigned, 15))
	_, err = pools.Patch(ctx, "small", types.MergePatchType, []byte(`{"spec": {"disabled": true}}`), metav1.PatchOptions{})
	must(t, err)
	same("a pool that is disabled", func(s *page.State) string {
		if !s.Pools["small"].Disabled {
			return "it is not said to be"
		}
		return ""
	})
	create("late")
	same("one that comes then", count(page.Pending, 1))

	// A node is lost: its addresses are the others', and who follows hears it.
	lost, had := l.Nodes[2], 0
	same("addresses at the node that will be lost", func(s *page.State) string {
		if had = s.Nodes[lost.Name].Owned; had == 0 {
			return "there are none"
		}
		return ""
	})
	must(t, l.Cut(lost.Host, lab.SwitchSide))
	same("a lost node", func(s *page.State) string {
		if n := s.Nodes[lost.Name]; n.Speaker != page.Lost || n.Owned > 0 {
			return fmt.Sprintf("%s: %+v", lost.Name, n)
		}
		for key, svc := range s.Services {
			for _, a := range svc.Addresses {
				if a.Owner == "" || a.Owner == lost.Name {
					return fmt.Sprintf("%s: %+v", key, a)
				}
			}
		}
		taken := 0
		for _, took := range s.Takeovers {
			if took.From == lost.Name && took.Cause == string(v1alpha1.TakeoverLost) && took.Duration > 0 {
				taken += took.Count
			}
		}
		if taken != had {
			return fmt.Sprintf("%d addresses were taken over, want %d: %+v", taken, had, s.Takeovers)
		}
		return ""
	})
	same("who leads", func(s *page.State) string {
		if s.About.Leader == "" || s.About.Unreached != "" {
			return fmt.Sprintf("%+v", s.About)
		}
		return ""
	})
	leading := 0
	for i, f := range followers {
		f.mu.Lock()
		if f.state.About.Leads {
			leading++
		}
		if f.events["snapshot"] != 1 {
			t.Errorf("controller %d: %v", i+1, f.events)
		}
		if steps := f.state.Usage["small"]; len(steps) == 0 || steps[len(steps)-1][1] != 15 {
			t.Errorf("controller %d: the pool's usage is %v", i+1, steps)
		}
		t.Logf("controller %d: %v", i+1, f.events)
		f.mu.Unlock()
	}
	if leading != 1 {
		t.Errorf("%d say that they lead", leading)
	}
	must(t, l.StopAPIServer())
	for i, f := range followers {
		f.await(ctx, t, fmt.Sprintf("controller %d without an API server", i+1), func(s *page.State) string {
			if s.About.Unreached == "" {
				return "it does not say that it does not reach it"
			}
			return ""
		})
	}
}

// differs holds a state against what the API server says; empty if they agree. What does not may do so in a moment.
func differs(ctx context.Context, t *testing.T, l *lab.Lab, fairlead versioned.Interface, s *page.State) string {
	t.Helper()
	services, err := l.Kubernetes.CoreV1().Services("").List(ctx, metav1.ListOptions{FieldSelector: "spec.type=LoadBalancer"})
	must(t, err)
	speakers, err := fairlead.FairleadV1alpha1().Speakers().List(ctx, metav1.ListOptions{})
	must(t, err)
	owners := map[string]string{}
	for _, sp := range speakers.Items {
		if sp.Status.Layer2 == nil {
			continue
		}
		for _, a := range sp.Status.Layer2.Addresses {
			owners[a.Address] = sp.Name
		}
	}
	want, got := map[string]string{}, map[string]string{}
	for _, svc := range services.Items {
		text := ""
		if c := meta.FindStatusCondition(svc.Status.Conditions, v1alpha1.ServiceConditionAssigned); c != nil {
			text = c.Reason + ": " + c.Message
		}
		for _, in := range svc.Status.LoadBalancer.Ingress {
			text += "; " + in.IP + " at " + owners[in.IP]
		}
		want[svc.Namespace+"/"+svc.Name] = text
	}
	for key, svc := range s.Services {
		text := svc.Reason + ": " + svc.Message
		for _, a := range svc.Addresses {
			text += "; " + a.Address + " at " + a.Owner
		}
		got[key] = text
	}
	if maps.Equal(want, got) {
		return ""
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if want[key] != got[key] {
			return fmt.Sprintf("%d Services, want %d; %s: %q, want %q", len(got), len(want), key, got[key], want[key])
		}
	}
	return fmt.Sprintf("%d Services, want %d", len(got), len(want))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
