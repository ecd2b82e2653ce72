package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

// Forwarder forwards ports of this machine to Pods, as kubectl port-forward does.
type Forwarder struct {
	config *rest.Config
	core   kubernetes.Interface
}

// Forwarder prepares one. It reaches for nothing yet.
func (o *Options) Forwarder(version string) (*Forwarder, error) {
	config, err := o.REST(version)
	if err != nil {
		return nil, err
	}
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the client of %s: %w", config.Host, err)
	}
	return &Forwarder{config, core}, nil
}

// Forward forwards a local port, any that is free for 0, to one of a Pod, until ctx ends or the connection is lost.
// Ready is called with the local port once it listens.
func (f *Forwarder) Forward(ctx context.Context, pod *corev1.Pod, local, remote int, ready func(port int)) error {
	dialer, noted, err := f.dialer(pod)
	if err != nil {
		return fmt.Errorf("preparing to forward to Pod %s: %w", pod.Name, err)
	}
	stop, listening := make(chan struct{}), make(chan struct{})
	defer context.AfterFunc(ctx, func() { close(stop) })()
	forward, err := portforward.NewOnAddresses(dialer, []string{"localhost"}, []string{fmt.Sprintf("%d:%d", local, remote)}, stop, listening, nil, nil)
	if err != nil {
		return fmt.Errorf("preparing to forward to Pod %s: %w", pod.Name, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- forward.ForwardPorts() }()
	select {
	case <-listening:
		ports, err := forward.GetPorts()
		if err != nil {
			return fmt.Errorf("forwarding to Pod %s: %w", pod.Name, err)
		}
		ready(int(ports[0].Local))
		return describe(<-ended, nil, pod)
	case err := <-ended:
		return describe(err, noted.err, pod)
	case <-ctx.Done(): // dialling knows of none
		return fmt.Errorf("reaching Pod %s: %w", pod.Name, ctx.Err())
	}
}

// describe says in words why forwarding ended, which may be that dialling failed; nil if it was to end.
func describe(err, dialling error, pod *corev1.Pod) error {
	switch {
	case dialling != nil:
		return missingRight(troubleTo("reach", "Pod "+pod.Namespace+"/"+pod.Name, dialling), "create", "pods/portforward", pod.Namespace)
	case err == nil:
		return nil
	case errors.Is(err, portforward.ErrLostConnectionToPod):
		return fmt.Errorf("the connection to Pod %s was lost", pod.Name)
	}
	return fmt.Errorf("forwarding a port of this machine to Pod %s: %w", pod.Name, err)
}

// dialer tries WebSockets first, as kubectl does, and SPDY if that fails, for whatever reason: with an API server before
// 1.30, a proxy that does not let WebSockets through, a user who may create pods/portforward and not get it, which is
// what the API server takes a WebSocket for. What SPDY fails by is what is told.
func (f *Forwarder) dialer(pod *corev1.Pod) (httpstream.Dialer, *noting, error) {
	url := f.core.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(f.config)
	if err != nil {
		return nil, nil, err
	}
	noted := &noting{RoundTripper: transport}
	old := spdy.NewDialer(upgrader, &http.Client{Transport: noted}, http.MethodPost, url)
	tunnelling, err := portforward.NewSPDYOverWebsocketDialer(url, f.config)
	if err != nil {
		return nil, nil, err
	}
	return portforward.NewFallbackDialer(tunnelling, old, func(error) bool { return true }), noted, nil
}

// noting keeps why dialling failed, of which a PortForwarder hands on the text alone.
type noting struct {
	http.RoundTripper
	err error
}

// RoundTrip implements http.RoundTripper.
func (n *noting) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := n.RoundTripper.RoundTrip(request)
	if n.err = err; err == nil && response.StatusCode != http.StatusSwitchingProtocols {
		n.err = declined(response)
	}
	return response, err
}

// declined is what the API server says, or a proxy before it, instead of switching protocols.
func declined(response *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	response.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(body), response.Body}
	var said metav1.Status
	if json.Unmarshal(body, &said) == nil && said.Kind == "Status" {
		return &apierrors.StatusError{ErrStatus: said}
	}
	return apierrors.NewGenericServerResponse(response.StatusCode, "create", schema.GroupResource{Resource: "pods/portforward"}, "", string(body), 0, true)
}

// Fetch reads a path of a Pod's HTTP port through a port that is forwarded for this alone.
func (f *Forwarder) Fetch(ctx context.Context, pod *corev1.Pod, port int, path string) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		text string
		err  error
	}
	var answered chan answer
	err := f.Forward(ctx, pod, 0, port, func(local int) {
		answered = make(chan answer, 1)
		go func() {
			defer cancel()
			text, err := get(ctx, fmt.Sprintf("http://localhost:%d%s", local, path))
			answered <- answer{text, err}
		}()
	})
	if answered == nil {
		return "", err
	}
	cancel()
	got := <-answered
	return got.text, got.err
}

// mostFetched bounds what is read of a Pod: metrics of a big cluster are some MB.
const mostFetched = 64 << 20

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", fmt.Errorf("asking for %s: %w", url, err)
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request) // without a proxy
	if err != nil {
		return "", fmt.Errorf("asking for %s: %w", url, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, mostFetched))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %s", response.Status)
	}
	return string(body), err
}
