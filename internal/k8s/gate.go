package k8s

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Gate tells whether who has a bearer token may get a path of this process's, by asking the API server who that
// is (TokenReview) and what its roles say (SubjectAccessReview on the non-resource URL).
type Gate struct {
	cluster   *Cluster
	path      string
	complaint *Complaint
	asking    chan struct{} // bounds the questions under way
	strangers *rate.Limiter // bounds those about tokens that were never let in

	mu sync.Mutex
	// By a hash of the token: what is kept is of no use to who reads this process's memory. Those who are let in
	// are apart, so that strangers with tokens of their own making cannot push them out.
	allowed, refused map[[sha256.Size]byte]admission
}

// admission is what the API server said.
type admission struct {
	status int
	why    string
	until  time.Time
}

const (
	// A token that is revoked is good for so long still; one that is granted the right waits for so long.
	allowedFor = time.Minute
	refusedFor = 5 * time.Second
	// Scrapers are few.
	mostAllowed, mostRefused = 64, 256
	// Whoever reaches the port can have questions asked: they are few at a time, and bounded in time.
	mostQuestions   = 4
	strangersRate   = 10 // a second
	questionTimeout = 5 * time.Second
)

const tooMany = "too many clients are being checked, try again"

// NewGate returns a gate to a path.
func NewGate(c *Cluster, path string, log *slog.Logger) *Gate {
	return &Gate{
		cluster: c, path: path, asking: make(chan struct{}, mostQuestions), strangers: rate.NewLimiter(strangersRate, 2*strangersRate),
		complaint: &Complaint{What: "who asks for " + path + " cannot be checked", Log: log},
		allowed:   map[[sha256.Size]byte]admission{}, refused: map[[sha256.Size]byte]admission{},
	}
}

// Allow returns the HTTP status 200, or another one and why.
func (g *Gate) Allow(ctx context.Context, token string) (status int, why string) {
	key := sha256.Sum256([]byte(token))
	a, ok := g.known(key, time.Now())
	if ok {
		return a.status, a.why
	}
	// One that was let in before, and has to be asked for again, does not stand in line with them.
	if a.status != http.StatusOK && !g.strangers.Allow() {
		return http.StatusServiceUnavailable, tooMany
	}
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	select {
	case g.asking <- struct{}{}:
		defer func() { <-g.asking }()
	case <-ctx.Done():
		return http.StatusServiceUnavailable, tooMany
	}
	if a, ok := g.known(key, time.Now()); ok { // asked meanwhile
		return a.status, a.why
	}
	a, err := g.ask(ctx, token)
	if err != nil {
		g.complaint.Report(fmt.Errorf("%s: %w", a.why, err))
		return a.status, a.why
	}
	g.complaint.Over()
	g.remember(key, a, time.Now())
	return a.status, a.why
}

// known returns what was said of a token, and whether that is still good.
func (g *Gate) known(key [sha256.Size]byte, now time.Time) (a admission, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if a, ok = g.refused[key]; ok && now.Before(a.until) {
		return a, true
	}
	a, ok = g.allowed[key]
	return a, ok && now.Before(a.until)
}

func (g *Gate) remember(key [sha256.Size]byte, a admission, now time.Time) {
	m, most, lasts := g.refused, mostRefused, refusedFor
	if a.status == http.StatusOK {
		m, most, lasts = g.allowed, mostAllowed, allowedFor
	}
	a.until = now.Add(lasts)
	g.mu.Lock()
	defer g.mu.Unlock()
	if a.status != http.StatusOK {
		delete(g.allowed, key)
	}
	if len(m) >= most {
		clear(m) // they are asked for again
	}
	m[key] = a
}

// ask asks the API server. With an error nobody knows, and the answer says so in words that are fit for a stranger.
func (g *Gate) ask(ctx context.Context, token string) (admission, error) {
	review, err := g.cluster.Core.AuthenticationV1().TokenReviews().Create(ctx,
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		return unasked("whose token this is", "tokenreviews.authentication.k8s.io", err), err
	}
	if !review.Status.Authenticated {
		return admission{status: http.StatusUnauthorized, why: "the API server does not know this token: send one of a service account of this cluster that has not expired"}, nil
	}
	user := review.Status.User
	access := authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: map[string]authorizationv1.ExtraValue{},
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: g.path, Verb: "get"},
	}
	for k, v := range user.Extra {
		access.Extra[k] = authorizationv1.ExtraValue(v)
	}
	verdict, err := g.cluster.Core.AuthorizationV1().SubjectAccessReviews().Create(ctx,
		&authorizationv1.SubjectAccessReview{Spec: access}, metav1.CreateOptions{})
	if err != nil {
		return unasked("what "+user.Username+" may do", "subjectaccessreviews.authorization.k8s.io", err), err
	}
	if !verdict.Status.Allowed {
		return admission{status: http.StatusForbidden, why: fmt.Sprintf(
			"%s may not get %s: bind it to a ClusterRole with the rule nonResourceURLs: [%s], verbs: [get]", user.Username, g.path, g.path)}, nil
	}
	return admission{status: http.StatusOK}, nil
}

// unasked says that the API server could not be asked, and what to grant if it refused.
func unasked(what, resource string, err error) admission {
	why := "the API server could not be asked " + what + ": try again"
	if apierrors.IsForbidden(err) {
		why = "the API server may not be asked " + what + ": grant Fairlead's service account the verb create on " + resource
	}
	return admission{status: http.StatusServiceUnavailable, why: why}
}
