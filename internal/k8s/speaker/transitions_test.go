package speaker

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
)

// tells returns what is told from now on, each time it is called.
func (w *statusWorld) tells() func(why string, want ...string) {
	var got []string
	w.record = func(e k8s.Event) {
		got = append(got, fmt.Sprintf("%s %s %s: %s", e.About.Kind, e.About.Name, e.Reason, e.Message))
	}
	return func(why string, want ...string) {
		w.t.Helper()
		w.tell(w.engine.status)
		if !slices.Equal(got, want) {
			w.t.Errorf("%s: told %q, want %q", why, got, want)
		}
		got = nil
	}
}

func conflict(address, mac string, detected bool) layer2.ConflictReport {
	hw, err := net.ParseMAC(mac)
	if err != nil {
		panic(err)
	}
	return layer2.ConflictReport{
		Address: netip.MustParseAddr(address), HardwareAddr: hw, Interface: "eth0", Service: lb.Key{Namespace: "default", Name: "web"},
		Since: time.Date(2026, 1, 2, 12, 0, 0, 500_000_000, time.UTC), Detected: detected,
	}
}

func TestConflictsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStatusWorld(t, "c")
		expect := w.tells()
		w.sharersOf = func(netip.Addr) []*corev1.Service {
			return []*corev1.Service{service("web", 1, "", ""), service("dns", 2, "", "")}
		}
		expect("nothing")
		w.engine.status.Conflicts = []layer2.ConflictReport{conflict("192.0.2.7", "02:00:00:00:00:09", false)}
		expect("a foreign host",
			"Service web AddressConflict: 192.0.2.7 is in use by 02:00:00:00:00:09 (seen by c on eth0) as well: clients may reach that host instead",
			"Service dns AddressConflict: 192.0.2.7 is in use by 02:00:00:00:00:09 (seen by c on eth0) as well: clients may reach that host instead")
		expect("nothing new")
		w.engine.status.Conflicts = []layer2.ConflictReport{conflict("192.0.2.7", "02:00:00:00:00:0a", false)}
		expect("another host, or one that makes up hardware addresses")
		w.engine.status.Conflicts = nil
		expect("gone")
		w.sharersOf = func(netip.Addr) []*corev1.Service { return []*corev1.Service{service("web", 1, "", "")} }
		w.engine.status.Conflicts = []layer2.ConflictReport{conflict("192.0.2.7", "02:00:00:00:00:09", true)}
		expect("found before the announcement",
			"Service web AddressConflict: 192.0.2.7 is in use by 02:00:00:00:00:09 (seen by c on eth0): it is not announced, and set aside")
	})
}

func TestConflictsInTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStatusWorld(t, "c")
		w.look("no conflict", "create, update")
		if c := meta.FindStatusCondition(w.written().Conditions, v1alpha1.ConditionAddressConflict); c != nil {
			t.Errorf("%+v", c)
		}
		w.engine.status.Conflicts = []layer2.ConflictReport{conflict("192.0.2.7", "02:00:00:00:00:09", true)}
		w.look("a conflict", "update")
		w.look("nothing new", "")
		status := w.written()
		if got := fmt.Sprint(status.Layer2.Conflicts); got != "[{192.0.2.7 02:00:00:00:00:09 eth0 default/web 2026-01-02 12:00:00 +0000 UTC true}]" {
			t.Errorf("conflicts %s", got)
		}
		c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionAddressConflict)
		if c == nil || c.Status != "True" || c.Message != "192.0.2.7 is in use by 02:00:00:00:00:09, seen on eth0" {
			t.Errorf("condition %+v", c)
		}
		w.engine.status.Conflicts = slices.Repeat(w.engine.status.Conflicts, 7)
		if c := meta.FindStatusCondition(withConflicts(nil, w.engine.status.Conflicts), v1alpha1.ConditionAddressConflict); len(c.Message) > 300 {
			t.Errorf("a message of %d characters: %s", len(c.Message), c.Message)
		}
		w.sayFarewell(t.Context())
		if status := w.written(); len(status.Conditions) != 1 {
			t.Errorf("a stopped speaker says %+v", status.Conditions)
		}
	})
}

// The kernel's own answers for addresses of kube-proxy in IPVS mode are complained of while they last.
func TestLooseARPInTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStatusWorld(t, "c")
		w.look("nothing to complain of", "create, update")
		w.engine.status.LooseARP = []string{"eth0", "eth1"}
		w.look("kube-proxy in IPVS mode", "update")
		w.look("nothing new", "")
		c := meta.FindStatusCondition(w.written().Conditions, v1alpha1.ConditionARPNotStrict)
		if c == nil || c.Status != "True" || !strings.HasPrefix(c.Message, "kube-proxy runs in IPVS mode without strictARP: on eth0, eth1 this node's kernel speaks ARP") {
			t.Errorf("condition %+v", c)
		}
		w.engine.status.LooseARP = nil
		w.look("with strictARP", "update")
		if c := meta.FindStatusCondition(w.written().Conditions, v1alpha1.ConditionARPNotStrict); c != nil {
			t.Errorf("it still says %+v", c)
		}
		w.engine.status.LooseARP = []string{"eth0"}
		w.look("and without", "update")
		w.sayFarewell(t.Context())
		if status := w.written(); len(status.Conditions) != 1 {
			t.Errorf("a stopped speaker says %+v", status.Conditions)
		}
	})
}

func TestDampingIsTold(t *testing.T) {
	damped := func(names ...string) (list []layer2.Damped) {
		for _, n := range names {
			list = append(list, layer2.Damped{Node: n, Penalty: 2500, Reuse: time.Date(2026, 1, 2, 12, 5, 0, 0, time.UTC)})
		}
		return list
	}
	const suppressed = "Node d NodeSuppressed: was lost too often: it is given no addresses until 2026-01-02T12:05:00Z, " +
		"later if it is lost again, unless no other node may own them"
	for _, tt := range []struct {
		name  string
		group []string
		want  []string
	}{
		{"by the first", []string{"c", "d", "e"}, []string{suppressed}},
		{"not by another one", []string{"b", "c", "d"}, nil},
		{"by the first but for the node itself", []string{"a", "c"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newStatusWorld(t, tt.group...)
				w.addNode("d", "")
				expect := w.tells()
				w.engine.status.Damped = damped("d", "no node any more")
				expect("suppressed", tt.want...)
				expect("nothing new")
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newStatusWorld(t, "a", "c")
		w.addNode("a", "")
		expect := w.tells()
		w.engine.status.Damped = damped("a")
		expect("the first one itself", "Node a"+suppressed[len("Node d"):])
		w.engine.status.Damped = nil
		expect("reusable", "Node a NodeReusable: may own addresses again: it was not lost for long enough")
	})
}

// A penalty decays all the time, and is written when it has risen.
func TestSuppressedNodesAreWrittenAtTransitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStatusWorld(t, "c")
		w.look("new", "create, update")
		reuse := time.Now().Add(5 * time.Minute)
		w.engine.status.Damped = []layer2.Damped{{Node: "d", Penalty: 2500.7, Reuse: reuse}}
		w.look("suppressed", "update")
		time.Sleep(time.Minute)
		w.engine.status.Damped = []layer2.Damped{{Node: "d", Penalty: 1900, Reuse: reuse.Add(300 * time.Millisecond)}}
		w.look("decayed", "")
		w.engine.status.Damped = []layer2.Damped{{Node: "d", Penalty: 2900, Reuse: reuse.Add(3 * time.Minute)}}
		w.look("lost again", "update")
		if got := w.written().Layer2.SuppressedNodes[0].Penalty; got != 2900 {
			t.Errorf("penalty %d", got)
		}
		w.group = members(fewMembers + 1)
		w.look("a large cluster", "")
		w.engine.status.Damped = nil
		if again := w.look("reusable, which all speakers write", ""); again < gossipDelay-time.Second {
			t.Errorf("waits for %v", again)
		}
	})
}

func TestStandInsAndSessionsInTheStatus(t *testing.T) {
	since := time.Date(2026, 1, 2, 12, 0, 0, 999, time.UTC)
	status := speakerStatus(layer2.Status{
		Owned: map[netip.Addr]layer2.Owned{
			netip.MustParseAddr("192.0.2.2"): {Service: lb.Key{Namespace: "default", Name: "dns"}, For: "b"},
			netip.MustParseAddr("192.0.2.1"): {Service: lb.Key{Namespace: "default", Name: "web"}},
		},
		Detection: "fast: 50 ms x 3",
		Sessions:  []layer2.SessionStatus{{Node: "a", Up: true, Since: since}, {Node: "b"}},
	}, members(2))
	if l := status.Layer2; l.Owned != 1 || l.StandingIn != 1 || len(l.Addresses) != 2 || l.Addresses[0].For != "" || l.Addresses[1].For != "b" {
		t.Errorf("layer 2: %+v", l)
	}
	f := status.FailureDetection
	if f.Timing != "fast: 50 ms x 3" || len(f.Sessions) != 2 || f.Sessions[0].State != "Up" || f.Sessions[0].Since.Nanosecond() != 0 ||
		f.Sessions[1].State != "Down" || f.Sessions[1].Since != nil {
		t.Errorf("failure detection: %+v", f)
	}
}
