package bgp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	gobgplog "github.com/osrg/gobgp/v3/pkg/log"
	"github.com/osrg/gobgp/v3/pkg/server"
	"google.golang.org/protobuf/types/known/anypb"
)

// aloneArgument has the test's binary be GoBGP alone: what it costs to tell routers the same routes without Fairlead
// around it is the floor that speakers are compared with.
const aloneArgument = "gobgp-alone"

// aloneConfig is what GoBGP alone is told, as JSON.
type aloneConfig struct {
	ASN, RouterASN uint32
	Node           netip.Addr // router ID and next hop
	Routers        []netip.Addr
	First          netip.Addr
	Count          int
}

// alone connects to the routers, says so, and advertises at SIGHUP.
func alone(text string) int {
	if err := runAlone(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func runAlone(text string) error {
	var c aloneConfig
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	begin := make(chan os.Signal, 1)
	signal.Notify(begin, syscall.SIGHUP)
	ctx := context.Background()
	logger := gobgplog.NewDefaultLogger()
	logger.SetLevel(gobgplog.ErrorLevel)
	s := server.NewBgpServer(server.LoggerOption(logger))
	go s.Serve()
	if err := s.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{Asn: c.ASN, RouterId: c.Node.String(), ListenPort: -1}}); err != nil {
		return err
	}
	for _, r := range c.Routers {
		if err := s.AddPeer(ctx, &api.AddPeerRequest{Peer: &api.Peer{
			Conf:   &api.PeerConf{NeighborAddress: r.String(), PeerAsn: c.RouterASN},
			Timers: &api.Timers{Config: &api.TimersConfig{ConnectRetry: 1, IdleHoldTimeAfterReset: 1}},
		}}); err != nil {
			return err
		}
	}
	<-begin
	started := time.Now()
	origin, _ := anypb.New(&api.OriginAttribute{Origin: 0})
	next, _ := anypb.New(&api.NextHopAttribute{NextHop: c.Node.String()})
	address := c.First
	for range c.Count {
		nlri, _ := anypb.New(&api.IPAddressPrefix{PrefixLen: 32, Prefix: address.String()})
		if _, err := s.AddPath(ctx, &api.AddPathRequest{Path: &api.Path{
			Family: &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}, Nlri: nlri, Pattrs: []*anypb.Any{origin, next},
		}}); err != nil {
			return err
		}
		address = address.Next()
	}
	fmt.Printf("%d paths in %s\n", c.Count, time.Since(started))
	select {}
}
