package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// service is an address in virtual time: what becomes of a request depends on when it comes.
type service struct {
	begin  time.Time
	node   string                       // the host part of the node's address
	answer func(at time.Duration) error // nil if it is answered; errSilence if it never is
	wait   func(at time.Duration) time.Duration
	mu     sync.Mutex
	made   int // connections
}

var errSilence = errors.New("no answer")

func (s *service) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if s.answer != nil {
		switch err := s.answer(time.Since(s.begin)); {
		case errors.Is(err, errSilence):
			<-ctx.Done()
			return nil, ctx.Err()
		case err != nil:
			return nil, err
		}
	}
	s.mu.Lock()
	s.made++
	s.mu.Unlock()
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		for reader := bufio.NewReader(server); ; {
			if _, err := http.ReadRequest(reader); err != nil {
				return
			}
			at := time.Since(s.begin)
			if s.wait != nil {
				time.Sleep(s.wait(at))
			}
			if s.answer != nil && s.answer(at) != nil {
				return
			}
			body := fmt.Sprintf(`{"client": "192.0.2.%s:4711"}`, s.node)
			if _, err := fmt.Fprintf(server, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
				return
			}
		}
	}()
	return client, nil
}

// gathered is what two users, one with a kept connection, note of this service in four seconds, with a request a second
// each and half a second of patience.
func gathered(t *testing.T, s *service) notes {
	t.Helper()
	var n notes
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		s.begin, s.node = time.Now(), "12"
		c := crowd{
			Targets: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.120:80")}, Nodes: map[netip.Addr]uint8{netip.MustParseAddr("192.0.2.12"): 2},
			Users: 2, Think: time.Second, Patience: 500 * ms,
		}
		n = c.gather(ctx, s.dial)
		time.Sleep(time.Second) // for servers that wait still
	})
	return n
}

// of are the requests of a user.
func of(n notes, user uint16) (list []request) {
	for _, r := range n.Requests {
		if r.User == user {
			list = append(list, r)
		}
	}
	return list
}

func TestUsersAreDueEachTime(t *testing.T) {
	s := &service{}
	n := gathered(t, s)
	for user := range uint16(2) {
		list := of(n, user)
		if len(list) != 4 {
			t.Fatalf("user %d has asked %d times in 4 s, want 4", user, len(list))
		}
		for i, r := range list {
			want := request{Due: list[0].Due + time.Duration(i)*time.Second, User: user, Node: 2, New: user == 1 || i == 0}
			if diff := cmp.Diff(want, r); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		}
	}
	if s.made != 5 {
		t.Errorf("%d connections were made, want one that is kept and four others", s.made)
	}
}

// A slow answer delays no other request: each wait is from when it was due.
func TestLatencyIsFromWhenItWasDue(t *testing.T) {
	n := gathered(t, &service{wait: func(time.Duration) time.Duration { return 300 * ms }})
	for _, r := range n.Requests {
		if r.End != answered || r.Took != 300*ms {
			t.Errorf("a request took %s and ended so: %d, want 300 ms and an answer", r.Took, r.End)
		}
	}
	if len(n.Requests) < 6 { // what is under way at the end is not noted
		t.Errorf("there were %d requests, want 6 at least", len(n.Requests))
	}
}

// An established connection ends in the second second and is made again with the request that comes next.
func TestBrokenConnections(t *testing.T) {
	outage := func(err error) func(time.Duration) error {
		return func(at time.Duration) error {
			if at > time.Second && at <= 2*time.Second {
				return err
			}
			return nil
		}
	}
	for _, test := range []struct {
		name       string
		service    *service
		kept, anew end
		took       time.Duration // of the new one
	}{
		{"refused", &service{answer: outage(syscall.ECONNREFUSED)}, reset, refused, 0},
		{"without an answer", &service{answer: outage(errSilence)}, reset, timedOut, 500 * ms},
		{"without a way", &service{answer: outage(syscall.EHOSTUNREACH)}, reset, unreachable, 0},
		{"answered too late", &service{wait: func(at time.Duration) time.Duration {
			if outage(errSilence)(at) != nil {
				return 700 * ms
			}
			return 0
		}}, timedOut, timedOut, 500 * ms},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := gathered(t, test.service)
			kept, anew := of(n, 0), of(n, 1)
			ends := func(list []request) (ends []end) {
				for _, r := range list {
					ends = append(ends, r.End)
				}
				return ends
			}
			if diff := cmp.Diff([]end{answered, test.kept, answered, answered}, ends(kept)); diff != "" {
				t.Errorf("the kept connection: want (-), got (+):\n%s", diff)
			}
			if diff := cmp.Diff([]end{answered, test.anew, answered, answered}, ends(anew)); diff != "" {
				t.Errorf("new connections: want (-), got (+):\n%s", diff)
			}
			if b := kept[1]; b.New || b.Node != 2 {
				t.Errorf("the broken connection is new: %v, and went through node %d", b.New, b.Node)
			}
			if !kept[2].New || kept[3].New {
				t.Errorf("the connection was made again for the third request: %v, for the fourth: %v", kept[2].New, kept[3].New)
			}
			if got := anew[1]; got.Took != test.took || got.Node != 0 {
				t.Errorf("a new connection failed after %s, through node %d, want %s and none", got.Took, got.Node, test.took)
			}
		})
	}
}

func TestNotesAreWrittenAndRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes")
	want := notes{Begin: time.Unix(1, 0).UTC(), Requests: []request{{Due: 1, Late: 2, Took: 3, User: 4, Target: 5, Node: 6, New: true, End: reset}}, Spoiled: []string{"why"}}
	if err := want.write(path); err != nil {
		t.Fatal(err)
	}
	got, err := readNotes(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}
