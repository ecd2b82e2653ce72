package layer2

import (
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Somebody who forges announcements in another speaker's name, of every address and for as long as he likes, does not fill
// the log.
func TestEngineTellsOfAnotherSpeakerNowAndThen(t *testing.T) {
	engineTest(t, func(t *testing.T, e *Engine, g *fakeGroup) {
		var log bytes.Buffer
		w := &paperWire{owned: map[netip.Addr][]string{}}
		hw := net.HardwareAddr{2, 0, 0, 0, 0, 98}
		e.Update(func(*Elector) {
			e.responder, e.links, e.byHardwareAddr[string(hw)] = w, oneLink, "b"
			e.Log = slog.New(slog.NewTextHandler(&log, nil))
		})
		for i := range 20 {
			setVIP(e, address(1+i))
		}
		g.tell(e, func(g *fakeGroup) { g.joined = true })
		synctest.Wait()
		const seconds = 90
		for range seconds {
			for i := range 20 {
				e.sighted(Sighting{At: time.Now(), Interface: "eth0", HardwareAddr: hw, Source: hw, Address: address(1 + i), Kind: Conflict})
			}
			time.Sleep(time.Second)
		}
		synctest.Wait()
		text := log.String()
		if n := strings.Count(text, "another speaker announces"); n != 2 {
			t.Errorf("it is told of %d times in %d s:\n%.600s", n, seconds, text)
		}
		if !strings.Contains(text, "more=1199") {
			t.Errorf("how many more there were is not told:\n%.600s", text)
		}
	})
}
