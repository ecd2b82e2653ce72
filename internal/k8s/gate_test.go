package k8s

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// warden is an API server that knows whose token is whose.
type warden struct {
	reviews, accesses int
	asked             authorizationv1.SubjectAccessReviewSpec
	tokenErr, userErr error
	allowed           bool
}

func (w *warden) gate(log *slog.Logger) *Gate {
	client := fake.NewClientset()
	client.PrependReactor("create", "tokenreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		w.reviews++
		r := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		if strings.HasPrefix(r.Spec.Token, "good") {
			r.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{
				Username: "prometheus", UID: "7", Groups: []string{"scrapers"}, Extra: map[string]authenticationv1.ExtraValue{"pod": {"p-0"}}}}
		}
		return true, r, w.tokenErr
	})
	client.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		w.accesses++
		r := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		w.asked = r.Spec
		r.Status.Allowed = w.allowed
		return true, r, w.userErr
	})
	return NewGate(&Cluster{Core: client}, "/metrics", log)
}

func TestGate(t *testing.T) {
	forbidden := func(resource string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("no rule"))
	}
	tests := []struct {
		name, token string
		warden      warden
		status      int
		why         string
	}{
		{"who may is let in", "good", warden{allowed: true}, 200, ""},
		{"who may not is told what to grant", "good", warden{}, 403, "prometheus may not get /metrics: bind it to a ClusterRole with the rule nonResourceURLs: [/metrics], verbs: [get]"},
		{"who is not known is told what to send", "bad", warden{allowed: true}, 401, "the API server does not know this token: send one of a service account of this cluster that has not expired"},
		{"Fairlead may not ask who it is", "good", warden{tokenErr: forbidden("tokenreviews")}, 503, "the API server may not be asked whose token this is: grant Fairlead's service account the verb create on tokenreviews.authentication.k8s.io"},
		{"Fairlead may not ask what it may", "good", warden{userErr: forbidden("subjectaccessreviews")}, 503, "the API server may not be asked what prometheus may do: grant Fairlead's service account the verb create on subjectaccessreviews.authorization.k8s.io"},
		{"the API server is gone", "good", warden{tokenErr: errors.New("dial tcp 192.0.2.1:6443: connection refused")}, 503, "the API server could not be asked whose token this is: try again"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, why := tt.warden.gate(slog.New(slog.DiscardHandler)).Allow(t.Context(), tt.token)
			if status != tt.status || why != tt.why {
				t.Errorf("%d %q, want %d %q", status, why, tt.status, tt.why)
			}
		})
	}
}

func TestGateAsksForAllThatIsKnownOfAUser(t *testing.T) {
	w := warden{allowed: true}
	w.gate(slog.New(slog.DiscardHandler)).Allow(t.Context(), "good")
	want := authorizationv1.SubjectAccessReviewSpec{
		User: "prometheus", UID: "7", Groups: []string{"scrapers"}, Extra: map[string]authorizationv1.ExtraValue{"pod": {"p-0"}},
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/metrics", Verb: "get"},
	}
	if diff := cmp.Diff(want, w.asked); diff != "" {
		t.Error(diff)
	}
}

func TestGateRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := warden{allowed: true}
		g := w.gate(slog.New(slog.DiscardHandler))
		expect := func(what, token string, status, reviews int) {
			t.Helper()
			if got, why := g.Allow(t.Context(), token); got != status || w.reviews != reviews {
				t.Errorf("%s: %d %q after %d questions, want %d after %d", what, got, why, w.reviews, status, reviews)
			}
		}
		expect("at first", "good", 200, 1)
		w.allowed = false
		time.Sleep(allowedFor - time.Second)
		expect("within a minute", "good", 200, 1)
		time.Sleep(time.Second)
		expect("a right that was taken away", "good", 403, 2)
		w.allowed = true
		expect("at once after that", "good", 403, 2)
		time.Sleep(refusedFor)
		expect("a right that was granted", "good", 200, 3)
		for i := range mostRefused + 10 {
			time.Sleep(time.Second / strangersRate)
			g.Allow(t.Context(), fmt.Sprint("bad", i))
		}
		if len(g.refused) > mostRefused {
			t.Errorf("%d tokens of strangers are remembered", len(g.refused))
		}
		asked := w.reviews
		expect("after a flood of strangers", "good", 200, asked)
		for i := range mostAllowed + 10 {
			time.Sleep(time.Second / strangersRate)
			g.Allow(t.Context(), fmt.Sprint("good", i))
		}
		if len(g.allowed) > mostAllowed {
			t.Errorf("%d tokens are remembered", len(g.allowed))
		}
		w.tokenErr = errors.New("gone")
		time.Sleep(allowedFor)
		asked = w.reviews
		expect("nobody knows", "good", 503, asked+1)
		w.tokenErr = nil
		expect("that is not remembered", "good", 200, asked+2)
	})
}

func TestGateBoundsTheQuestionsAboutStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := warden{allowed: true}
		g := w.gate(slog.New(slog.DiscardHandler))
		g.Allow(t.Context(), "good")
		time.Sleep(allowedFor) // it has to be asked for again
		for i := range 1000 {
			g.Allow(t.Context(), fmt.Sprint("bad", i))
		}
		if w.reviews > 1+2*strangersRate {
			t.Errorf("%d questions at once", w.reviews)
		}
		if status, why := g.Allow(t.Context(), "other"); status != http.StatusServiceUnavailable {
			t.Errorf("%d %q for one stranger more", status, why)
		}
		if status, why := g.Allow(t.Context(), "good"); status != http.StatusOK {
			t.Errorf("%d %q for who was let in before", status, why)
		}
	})
}

func TestGateBoundsTheQuestionsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := warden{allowed: true}
		g := w.gate(slog.New(slog.DiscardHandler))
		for range mostQuestions {
			g.asking <- struct{}{} // questions that hang
		}
		if status, why := g.Allow(t.Context(), "good"); status != http.StatusServiceUnavailable || w.reviews != 0 {
			t.Errorf("%d %q after %d questions", status, why, w.reviews)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if status, _ := g.Allow(ctx, "good"); status != http.StatusServiceUnavailable {
			t.Errorf("%d for who has gone", status)
		}
	})
}

func TestGateLogsNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		w := warden{tokenErr: apierrors.NewInternalError(errors.New("etcd is gone"))}
		g := w.gate(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
		for range 3 {
			g.Allow(t.Context(), "good-and-secret")
			time.Sleep(patience)
		}
		if text := out.String(); !strings.Contains(text, "who asks for /metrics cannot be checked") || strings.Contains(text, "secret") {
			t.Errorf("log:\n%s", text)
		}
	})
}
