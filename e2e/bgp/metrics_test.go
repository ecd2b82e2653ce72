package bgp

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// messages is how many messages of a type a node's speaker has received in its session with a peer, as its metrics say.
func (w *world) messages(ctx context.Context, n *lab.Node, peer, kind string) (int, error) {
	_, page, err := n.Page(ctx, lab.SpeakerHTTPPort, "/metrics")
	if err != nil {
		return 0, err
	}
	sample := regexp.MustCompile(fmt.Sprintf(`(?m)^fairlead_bgp_messages_total\{direction="received",peer="%s",type="%s"\} (\S+)$`, peer, kind))
	m := sample.FindStringSubmatch(page)
	if m == nil {
		return 0, errors.New("there is no such metric")
	}
	v, err := strconv.ParseFloat(m[1], 64)
	return int(v), err
}
