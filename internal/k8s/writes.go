package k8s

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// writes sends the two requests that a controller makes for every Service: its status, and the event about
// it. A typed client would decode the object that the API server answers with, to throw it away, and takes
// five times as long to put a request together.
type writes struct {
	transport http.RoundTripper
	server    *url.URL
	agent     []string // of which the API server makes the field manager's name
}

func newWrites(config *rest.Config, client *http.Client) (*writes, error) {
	server, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	return &writes{client.Transport, server, []string{config.UserAgent}}, nil
}

// PatchServiceStatus applies a strategic merge patch to the status of a Service.
func (c *Cluster) PatchServiceStatus(ctx context.Context, key lb.Key, patch []byte) error {
	if c.writes == nil { // a test's own clients
		_, err := c.Core.CoreV1().Services(key.Namespace).Patch(ctx, key.Name,
			types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		return err
	}
	path := "/api/v1/namespaces/" + key.Namespace + "/services/" + key.Name + "/status"
	return c.writes.send(ctx, http.MethodPatch, path, strategicMergePatch, patch)
}

// createEvent writes an event.
func (c *Cluster) createEvent(ctx context.Context, event *corev1.Event) error {
	if c.writes == nil { // a test's own clients
		_, err := c.Core.CoreV1().Events(event.Namespace).Create(ctx, event, metav1.CreateOptions{})
		return err
	}
	body, err := encodeEvent(event)
	if err != nil {
		return fmt.Errorf("encoding an event: %w", err)
	}
	return c.writes.send(ctx, http.MethodPost, "/api/v1/namespaces/"+event.Namespace+"/events", protobuf, body)
}

// encodeEvent puts an event into the envelope that makes protobuf Kubernetes': four bytes that tell it from
// all else, then the kind, then the object.
func encodeEvent(event *corev1.Event) ([]byte, error) {
	object, err := event.Marshal()
	if err != nil {
		return nil, err
	}
	envelope := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: "v1", Kind: "Event"}, Raw: object}
	text, err := envelope.Marshal()
	return append([]byte("k8s\x00"), text...), err
}

// Headers as net/http keeps them.
var (
	strategicMergePatch = []string{string(types.StrategicMergePatchType)}
	protobuf            = []string{runtime.ContentTypeProtobuf}
	// Of what was written nobody reads anything: the metadata is the least that can be asked for. What is
	// refused says why in JSON.
	metadataOnly = []string{"application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"}
)

// longestWait is what is waited for at most when the API server asks for patience, in seconds: ctx ends sooner.
const longestWait = 3600

// send carries out a request. Its errors are those of client-go. When the API server asks for patience it
// gets it, as long as ctx lasts.
func (w *writes) send(ctx context.Context, method, path string, contentType []string, body []byte) error {
	for {
		wait, err := w.try(ctx, method, path, contentType, body)
		if wait == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// try returns, beside the error, how long to wait before another try if the API server said so.
func (w *writes) try(ctx context.Context, method, path string, contentType []string, body []byte) (time.Duration, error) {
	target := *w.server
	target.Path = strings.TrimSuffix(target.Path, "/") + path
	request := (&http.Request{
		Method: method, URL: &target, Host: target.Host,
		Header:        http.Header{"Accept": metadataOnly, "Content-Type": contentType, "User-Agent": w.agent},
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
		// For a connection that the server closed before the request had come.
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}).WithContext(ctx)
	response, err := w.transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode < http.StatusMultipleChoices {
		// Read to its end, the connection can be used again. If it ends early the write was done all the same.
		_, _ = io.Copy(io.Discard, response.Body)
		return 0, nil
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
	seconds = min(max(seconds, 0), longestWait) // a proxy's may be anything, and too large for a time.Duration
	if response.StatusCode != http.StatusTooManyRequests && response.StatusCode < http.StatusInternalServerError {
		seconds = 0
	}
	var status metav1.Status
	if json.Unmarshal(text, &status) != nil || status.Kind != "Status" { // a proxy's answer
		err := apierrors.NewGenericServerResponse(response.StatusCode, method, schema.GroupResource{}, "", string(text), seconds, true)
		return time.Duration(seconds) * time.Second, err
	}
	return time.Duration(seconds) * time.Second, apierrors.FromObject(&status)
}
