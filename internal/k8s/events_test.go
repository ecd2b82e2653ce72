package k8s

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

var corev1Services = schema.GroupResource{Resource: "services"}

// recording runs a recorder on a fake API server during a test in a synctest bubble.
func recording(t *testing.T, client *fake.Clientset) (r *Recorder, stop func()) {
	r = NewRecorder(&Cluster{Core: client}, "test", "node1", slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	return r, func() { cancel(); <-done }
}

func events(t *testing.T, client *fake.Clientset) []corev1.Event {
	list, err := client.CoreV1().Events(metav1.NamespaceAll).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func TestRecorderWritesEveryEventOfABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewSimpleClientset()
		r, stop := recording(t, client)
		for range 3000 { // three times what the queue of client-go holds
			r.Record(Event{About: corev1.ObjectReference{Kind: "Service", Namespace: "default", Name: "web"}, Reason: "AddressAssigned", Message: "m"})
		}
		synctest.Wait()
		stop()
		if n := len(events(t, client)); n != 3000 {
			t.Errorf("%d events of 3000", n)
		}
	})
}

func TestRecorderTriesAgainUntilTheServerIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewSimpleClientset()
		back := time.Now().Add(time.Minute)
		client.PrependReactor("create", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
			return time.Now().Before(back), nil, errors.New("connection refused")
		})
		r, stop := recording(t, client)
		defer stop()
		r.Record(Event{About: corev1.ObjectReference{Kind: "IPAddressPool", Name: "edge"}, Warning: true, Reason: "Conflicting", Message: "m"})
		time.Sleep(2 * time.Minute)
		got := events(t, client)
		if len(got) != 1 || got[0].Namespace != "default" || got[0].Type != corev1.EventTypeWarning || got[0].Source.Host != "node1" {
			t.Errorf("events = %+v", got)
		}
	})
}

func TestRecorderDropsWhatIsTooMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewSimpleClientset()
		back := time.Now().Add(time.Hour)
		client.PrependReactor("create", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
			return time.Now().Before(back), nil, errors.New("connection refused")
		})
		r, stop := recording(t, client)
		defer stop()
		r.most = 3
		record := func() {
			r.Record(Event{About: corev1.ObjectReference{Kind: "Service", Namespace: "default", Name: "web"}})
			time.Sleep(time.Minute) // it is tried, and waits for the next try
		}
		for range 5 {
			record()
		}
		time.Sleep(time.Hour)
		if n := len(events(t, client)); n != 3 {
			t.Errorf("%d events, want the 3 that may wait", n)
		}
		for range 5 { // written at once, so that none waits for long
			record()
		}
		if n := len(events(t, client)); n != 8 {
			t.Errorf("%d events, want 8: those that are written do not count", n)
		}
	})
}

func TestRecorderGivesUpWhatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewSimpleClientset()
		tries := 0
		client.PrependReactor("create", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
			tries++
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "", errors.New("namespace is being terminated"))
		})
		r, stop := recording(t, client)
		r.Record(Event{About: corev1.ObjectReference{Kind: "Service", Namespace: "default", Name: "web"}})
		time.Sleep(time.Hour)
		stop()
		if tries != 1 {
			t.Errorf("%d tries", tries)
		}
	})
}

func TestRecorderWritesWhatIsWaitingWhenItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewSimpleClientset()
		r, stop := recording(t, client)
		for range 100 {
			r.Record(Event{About: corev1.ObjectReference{Kind: "Service", Namespace: "default", Name: "web"}})
		}
		stop()
		if n := len(events(t, client)); n != 100 {
			t.Errorf("%d events of 100", n)
		}
	})
}

func TestTrim(t *testing.T) {
	svc := web(annotated(corev1.LastAppliedConfigAnnotation, "{}"), annotated(AnnotationPool, "edge"))
	svc.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	svc.Labels = map[string]string{"app": "web"}
	for range 2 { // it is to be idempotent
		if _, err := Trim(svc); err != nil {
			t.Fatal(err)
		}
	}
	if svc.ManagedFields != nil || len(svc.Annotations) != 1 || svc.Annotations[AnnotationPool] != "edge" || svc.Labels["app"] != "web" {
		t.Errorf("trimmed Service: %+v", svc.ObjectMeta)
	}
}
