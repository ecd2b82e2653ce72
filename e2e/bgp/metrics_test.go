package bgp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// speakerHTTPPort is where a speaker serves its metrics.
const speakerHTTPPort = 7573

// messages is how many messages of a type a node's speaker has received in its session with a peer, as its metrics say.
func (w *world) messages(ctx context.Context, n *lab.Node, peer, kind string) (int, error) {
	transport := n.HTTPTransport()
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: 2 * time.Second}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", speakerHTTPPort), nil)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	sample := regexp.MustCompile(fmt.Sprintf(`(?m)^fairlead_bgp_messages_total\{direction="received",peer="%s",type="%s"\} (\S+)$`, peer, kind))
	m := sample.FindSubmatch(page)
	if m == nil {
		return 0, errors.New("there is no such metric")
	}
	v, err := strconv.ParseFloat(string(m[1]), 64)
	return int(v), err
}
