package controller

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mending remembers how often the same was written to a Service's status. What is written stays, unless another
// writes it too: the controller of another load balancer, such as K3s' ServiceLB or a MetalLB that is still
// there. It mends the status as quickly as we do, and neither would ever end.
type mending struct {
	said  metav1.Condition // what was written last
	shows []string
	at    time.Time
	times int // how often it was written again
	told  bool
}

const (
	// So many times a status that somebody edits is mended at once, then ever more slowly.
	promptMends = 3
	slowestMend = time.Minute
	// After so long without, all is forgotten.
	mendMemory = 10 * time.Minute
)

// wrote notes that an outcome was written.
func (m *mending) wrote(o outcome, now time.Time) {
	if m.is(o) && now.Sub(m.at) < mendMemory {
		m.times++
		m.at = now
		return
	}
	*m = mending{said: o.condition(), shows: o.texts(), at: now}
}

// is tells whether what was written last is an outcome.
func (m *mending) is(o outcome) bool {
	return m.said == o.condition() && slices.Equal(m.shows, o.texts())
}

func (o outcome) texts() (texts []string) {
	for _, ip := range o.ips() {
		texts = append(texts, ip.String())
	}
	return texts
}

// wait is how long not to write an outcome yet.
func (m *mending) wait(o outcome, now time.Time) time.Duration {
	if m.times < promptMends || !m.is(o) || now.Sub(m.at) >= mendMemory {
		return 0
	}
	return m.at.Add(min(slowestMend, time.Second<<min(m.times-promptMends, 10))).Sub(now)
}

// patience tells how long to wait before a Service's status is written, should another write it too.
func (t *term) patience(svc *corev1.Service, k *known, o outcome, now time.Time) time.Duration {
	wait := k.mended.wait(o, now)
	if wait > 0 && !k.mended.told {
		k.mended.told = true
		var has []string
		for _, ingress := range svc.Status.LoadBalancer.Ingress {
			has = append(has, ingress.IP+ingress.Hostname)
		}
		t.recorder.Record(k8s.Event{About: reference(svc), Warning: true, Reason: "StatusOverwritten", Message: k8s.Shorten(fmt.Sprintf(
			"another controller writes the status too, %s at last: is there another load balancer that serves Services of this class?",
			strings.Join(has, ", ")))})
	}
	return wait
}
