package load

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// request is one request of a user, and what became of it.
type request struct {
	Due    time.Duration // since the crowd's begin
	Late   time.Duration // by how much the crowd itself was late with it: the processors were busy
	Took   time.Duration // from Due until its answer was there, or until it was given up
	User   uint16
	Target uint16 // by its place in the crowd's list
	Node   uint8  // through which it went, as the crowd's list of nodes has it; 0 if that is not known
	New    bool   // a connection was made for it
	End    end
}

// late tells whether a request was answered, but took longer than slow, and not because the crowd was late.
func (r request) late() bool { return r.End == answered && r.Took-r.Late > slow }

// end is how a request ended.
type end uint8

const (
	answered    end = iota
	refused         // a connection was answered by a reset
	reset           // a connection ended before the answer
	timedOut        // no answer within the user's patience
	unreachable     // the user's own kernel knew of no way
	spoiled         // anything else, such as an answer that is none
)

// endOf classifies what a request came to, over a connection or without one so far.
func endOf(err error, connected bool) end {
	var timeout net.Error
	switch {
	case err == nil:
		return answered
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, os.ErrDeadlineExceeded):
		return timedOut
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return unreachable
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused
	case connected && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return reset
	}
	return spoiled
}

// notes are all requests of a crowd.
type notes struct {
	Begin    time.Time
	Requests []request // in the order in which they were due
	Spoiled  []string  // the errors that are no other end
}

func (n notes) write(path string) error {
	file, err := os.Create(path)
	if err == nil {
		err = errors.Join(gob.NewEncoder(file).Encode(n), file.Close())
	}
	if err != nil {
		return fmt.Errorf("writing %d requests: %w", len(n.Requests), err)
	}
	return nil
}

func readNotes(path string) (n notes, err error) {
	file, err := os.Open(path)
	if err == nil {
		defer file.Close()
		err = gob.NewDecoder(file).Decode(&n)
	}
	if err != nil {
		return n, fmt.Errorf("reading what the crowd has noted: %w", err)
	}
	return n, nil
}
