package k8s

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// denial is a right that a request lacked, in the words of Kubernetes' RBAC authorizer. That a request is forbidden may
// have other reasons, such as a namespace that is being deleted; then there is none.
type denial struct {
	account         string // namespace:name of the service account, empty for any other user
	verb            string
	resource, group string
	namespace       string // empty at the cluster scope
}

// denied is how the API server puts it (apiserver's responsewriters.forbiddenMessage), whether the quotation marks are
// escaped, as in JSON, or not, as in protobuf and in errors.
var denied = regexp.MustCompile(`User \\?"([^"\\]*)\\?" cannot (\S+) resource \\?"([^"\\]*)\\?" in API group \\?"([^"\\]*)\\?"` +
	` (?:at the cluster scope|in the namespace \\?"([^"\\]*))`)

// readDenial looks for a denial in an answer or an error.
func readDenial(text string) (d denial, ok bool) {
	m := denied.FindStringSubmatch(text)
	if m == nil {
		return denial{}, false
	}
	account, _ := strings.CutPrefix(m[1], "system:serviceaccount:")
	if account == m[1] {
		account = ""
	}
	return denial{account, m[2], m[3], m[4], m[5]}, true
}

// what is "list ipaddresspools.fairlead.dev": what is not allowed. Where is not part of it, as every Service's own namespace
// would be another complaint.
func (d denial) what() string {
	if d.group == "" {
		return d.verb + " " + d.resource
	}
	resource, subresource, _ := strings.Cut(d.resource, "/")
	return strings.TrimSuffix(d.verb+" "+resource+"."+d.group+"/"+subresource, "/")
}

// role is what is to grant it: the names are those of the service accounts. Only what is in Fairlead's own namespace is a
// Role's.
func (d denial) role() string {
	namespace, name, ok := strings.Cut(d.account, ":")
	switch {
	case !ok:
		return "no role of this user grants it"
	case d.namespace == namespace:
		return fmt.Sprintf("the Role %s in %s does not grant it", name, namespace)
	}
	return fmt.Sprintf("the ClusterRole %s does not grant it", name)
}

func (d denial) Error() string {
	return fmt.Sprintf("forbidden to %s: %s; apply the manifests (or the chart) of this version again", d.what(), d.role())
}

// Denied returns an error in words that say what to do, if the API server has denied a right; else the error itself.
func Denied(err error) error {
	if apierrors.IsForbidden(err) {
		if d, ok := readDenial(err.Error()); ok {
			return d
		}
	}
	return err
}

// isDenied tells whether the API server has denied a right, or does not know who asks. Its log line is the link's.
func isDenied(err error) bool {
	var d denial
	return apierrors.IsUnauthorized(err) || errors.As(Denied(err), &d)
}

// errUnknown is what the API server's 401 means.
var errUnknown = errors.New("the token or the certificate is not valid, or not any more: of the service account as of the kubeconfig")

// denials says in the log what the API server denies, once each: a write of thousands of Services, tried again and again,
// lacks but one right.
type denials struct {
	log *slog.Logger

	mu   sync.Mutex
	said map[string]*Complaint
}

// look reads an answer that denies something, and leaves it as it was for who asked.
func (s *denials) look(r *http.Response) {
	if r.StatusCode == http.StatusUnauthorized {
		s.complaint("", "the API server does not know who this is").report(errUnknown)
		return
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	rest := r.Body
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(strings.NewReader(string(text)), rest), rest}
	if d, ok := readDenial(string(text)); err == nil && ok {
		s.complaint(d.what(), "the API server forbids what this program needs").report(d)
	}
}

func (s *denials) complaint(key, what string) *Complaint {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.said[key]
	if c == nil {
		c = &Complaint{What: what, Log: s.log}
		s.said[key] = c
	}
	return c
}
