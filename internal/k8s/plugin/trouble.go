package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// trouble says in words why something could not be read from the API server. What names it: "Services".
func trouble(what string, err error) error { return troubleTo("read", what, err) }

// Absent says that a Node is not there, or which of the Services are not; nil if they are, and if that cannot be told.
func (s *Snapshot) Absent(node string, services []lb.Key) error {
	if node != "" && len(s.Nodes) > 0 && !slices.ContainsFunc(s.Nodes, func(n *corev1.Node) bool { return n.Name == node }) &&
		!slices.ContainsFunc(s.Speakers, func(sp *v1alpha1.Speaker) bool { return sp.Name == node }) {
		return noSuch("Node", node)
	}
	for _, key := range services {
		if !slices.Contains(s.Unread, "Services") && !slices.ContainsFunc(s.Services, func(svc *corev1.Service) bool { return k8s.Key(svc) == key }) {
			return noSuch("Service", key.String())
		}
	}
	return nil
}

// noSuch says that there is no object of a name, and how to see those that there are.
func noSuch(kind, name string) error {
	listed := map[string]string{"Service": "kubectl fairlead services -A", "IPAddressPool": "kubectl fairlead pools"}[kind]
	if listed == "" {
		listed = "kubectl get " + strings.ToLower(kind) + "s"
	}
	return fmt.Errorf("there is no %s %s; %s lists those that there are", kind, name, listed)
}

// troubleTo says in words why a thing could not be done with the API server: to read or to patch what is named.
func troubleTo(do, what string, err error) error {
	if err == nil {
		return nil
	}
	if k8s.Answered(err) {
		switch {
		case apierrors.IsForbidden(err):
			return fmt.Errorf("you may not %s %s: %w", do, what, err)
		case apierrors.IsUnauthorized(err):
			return fmt.Errorf("the API server does not accept your credentials: %w", err)
		}
		return fmt.Errorf("%sing %s: %w", do, what, err)
	}
	// The request's address is not worth a line, what became of it is.
	var request *url.Error
	server := "the API server"
	if errors.As(err, &request) {
		if u, bad := url.Parse(request.URL); bad == nil {
			server += " at " + u.Scheme + "://" + u.Host
		}
		err = request.Err
	}
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%s did not answer in time: %w", server, err)
	}
	return fmt.Errorf("%s cannot be reached: %w", server, err)
}
