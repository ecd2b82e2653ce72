package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// trouble says in words why something could not be read from the API server. What names it: "Services".
func trouble(what string, err error) error { return troubleTo("read", what, err) }

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
