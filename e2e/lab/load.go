package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
)

// Burn keeps processors busy with n loops at normal priority until the function it returns is called.
func (l *Lab) Burn(n int) (end func() error, err error) {
	var loops []*Process
	end = func() error {
		var errs []error
		for _, p := range loops {
			errs = append(errs, p.Kill())
		}
		return errors.Join(errs...)
	}
	for i := range n {
		name := fmt.Sprint("burn", i+1)
		p := l.Process(name)
		if p == nil {
			p = l.newProcess(name, l.CP, "/bin/sh", "sh", "-c", "while :; do :; done")
		}
		if err := p.Start(); err != nil {
			return nil, errors.Join(err, end())
		}
		loops = append(loops, p)
	}
	return end, nil
}

// Storm asks who has each of these addresses in turn, so many times a second, until ctx is done. All have to
// be of one family. It returns how often it has asked.
func (h *Host) Storm(ctx context.Context, perSecond int, addresses []netip.Addr) (int, error) {
	kind := ethernet.EtherTypeARP
	if addresses[0].Is6() {
		kind = ethernet.EtherTypeIPv6
	}
	frames := make([][]byte, len(addresses))
	for i, a := range addresses {
		var err error
		if frames[i], err = h.Question(a); err != nil {
			return 0, err
		}
	}
	return h.SendFrames(ctx, kind, perSecond, frames)
}

// SendFrames sends whole frames, one after another and all over again, so many a second, until ctx is done.
// It returns how many it has sent.
func (h *Host) SendFrames(ctx context.Context, kind ethernet.EtherType, perSecond int, frames [][]byte) (int, error) {
	raw, err := h.ListenFrames(kind)
	if err != nil {
		return 0, err
	}
	defer raw.Close()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	begin, sent := time.Now(), 0
	for ctx.Err() == nil {
		for due := int(time.Since(begin).Seconds() * float64(perSecond)); sent < due && ctx.Err() == nil; sent++ {
			f := frames[sent%len(frames)]
			if _, err := raw.WriteTo(f, &packet.Addr{HardwareAddr: f[:6]}); err != nil {
				return sent, fmt.Errorf("sending frames from %s: %w", h.Name, err)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	return sent, nil
}
