package controller

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Who may make Services, and nothing else.
func TestTenant(t *testing.T) {
	for name, text := range map[string]string{
		"a quarter of a megabyte of one address":   strings.Repeat("192.0.2.203,", 20_000),
		"a quarter of a megabyte of a single word": strings.Repeat("x", 250_000),
		"control characters and the end of a line": "\x1b[2J\r\n\u202e",
		"letters that are no octet each":           strings.Repeat("ä", 100_000),
		"what a shell, a template, a query reads":  "$(reboot) {{.}} '; drop -- %s%n",
		"all of IPv6":                                "::/0",
		"an address with a zone":                     "fe80::1%eth0",
		"the address of the API server, of nobody's": "10.96.0.1",
	} {
		scenario(t, "asks for "+name, func(t *testing.T, w *world) {
			w.pool("edge", "192.0.2.200-192.0.2.209")
			for _, annotation := range []string{k8s.AnnotationIPs, k8s.AnnotationPool, k8s.AnnotationSharing} {
				service := strings.ToLower(annotation[strings.LastIndexByte(annotation, '/')+1:])
				w.service(service, annotate(annotation, text))
			}
			w.service("web")
			_, stop := w.run()
			defer stop()
			w.settle()
			if has := showsOf(w, "web"); len(has) != 1 {
				t.Errorf("another Service has %v: %s", has, w.says("web"))
			}
			for _, annotation := range []string{k8s.AnnotationIPs, k8s.AnnotationPool, k8s.AnnotationSharing} {
				service := strings.ToLower(annotation[strings.LastIndexByte(annotation, '/')+1:])
				svc := w.get(service)
				c := k8s.AssignedCondition(svc)
				if c == nil {
					t.Errorf("%s: nothing is said", service)
				} else if len(c.Message) > 2048 { // 32,768 is what a condition may hold
					t.Errorf("%s: a message of %d bytes", service, len(c.Message))
				}
				for _, e := range w.events(service) {
					if len(e) > 1100 {
						t.Errorf("%s: an event of %d bytes", service, len(e))
					}
				}
			}
		})
	}
	scenario(t, "asks for a hundred addresses, and gets none", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.0/24")
		var list []string
		for i := range 100 {
			list = append(list, fmt.Sprint("192.0.2.", i+1))
		}
		w.service("greedy", annotate(k8s.AnnotationIPs, strings.Join(list, ",")))
		w.service("web")
		_, stop := w.run()
		defer stop()
		w.settle()
		if n := len(showsOf(w, "greedy")); n != 0 || len(w.says("greedy")) > 2048 {
			t.Errorf("%d addresses, %s", n, w.says("greedy"))
		}
		if len(showsOf(w, "web")) != 1 {
			t.Error(w.says("web"))
		}
	})
}

// Who may write the Speaker object of one node, and nothing else.
func TestLyingSpeaker(t *testing.T) {
	answers := func(w *world, ready metav1.ConditionStatus, reason string) {
		w.must(w.speaker("node2", func(s *v1alpha1.SpeakerStatus) {
			s.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: ready, Reason: reason}}
			s.Layer2 = &v1alpha1.Layer2Status{Owned: 1, Addresses: []v1alpha1.Layer2Address{{Address: "192.0.2.200"}}}
		}))
	}
	lie := func(w *world) {
		w.must(w.speaker("node1", func(s *v1alpha1.SpeakerStatus) {
			s.Layer2 = &v1alpha1.Layer2Status{Conflicts: []v1alpha1.AddressConflict{
				{Address: "192.0.2.200", HardwareAddress: "02:00:00:00:00:09", Interface: "eth0", Detected: true}}}
		}))
	}
	start := func(w *world) (stop func()) {
		w.pool("edge", "192.0.2.200-192.0.2.209")
		w.detectConflicts("edge")
		w.service("web")
		_, stop = w.run()
		return stop
	}

	scenario(t, "takes no address from a Service that another node answers for", func(t *testing.T, w *world) {
		stop := start(w)
		answers(w, metav1.ConditionTrue, "Running")
		w.settle()
		lie(w)
		w.settle()
		w.expect("web", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
		stop()
		_, stop = w.run()
		defer stop()
		w.expect("web", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
	})

	scenario(t, "is believed once no other node answers", func(t *testing.T, w *world) {
		defer start(w)()
		answers(w, metav1.ConditionTrue, "Running")
		w.settle()
		lie(w)
		w.settle()
		answers(w, metav1.ConditionFalse, "Lost")
		w.settle()
		w.expect("web", "192.0.2.201 Assigned: 192.0.2.201 from pool edge")
	})
}
