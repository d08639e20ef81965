package proxy

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"larder/formats"
)

// errUngated is a fault of ours: something read the body before policy was asked.
var errUngated = errors.New("the request body was read before policy was asked")

// body is a request's body: shut until policy has allowed the request, bounded,
// and held to a least rate. It remembers its error, so that a cut upload can be
// told from trouble of ours.
type body struct {
	io.ReadCloser
	of   *http.Request // as net/http made it
	w    *writer
	open bool
	// begun: the client was asked for it, should it have wanted to be.
	begun bool
	left  int64 // bytes; below zero when the limit was passed
	pace  pace
	err   error
}

// wrap takes the place of a request's body.
func (b *body) wrap(r *http.Request, w *writer, limit int64) {
	b.ReadCloser, b.of, b.w, b.left = r.Body, r, w, limit
	b.pace = newPace(readRate, readSlack)
	r.Body = b
}

// Read reads a part of the body.
func (b *body) Read(p []byte) (int, error) {
	if !b.open {
		return 0, errUngated
	}
	if b.err != nil {
		return 0, b.err
	}
	b.begun = true
	began := time.Now()
	// The first read may have to send "100 Continue".
	b.w.arm(began)
	if at, moved := b.pace.next(began); moved {
		_ = b.w.ctl.SetReadDeadline(at) // refused by recorders only
	}
	n, err := b.ReadCloser.Read(p)
	b.pace.took(time.Since(began), int64(n))
	if b.left -= int64(n); b.left < 0 {
		n, err = 0, b.w.x.edge.tooLarge()
	}
	if err != nil || b.w.rearm {
		// net/http goes on to watch the connection for its end, which a
		// deadline would look like.
		b.pace.deadline = time.Time{}
		_ = b.w.ctl.SetReadDeadline(time.Time{})
	}
	b.err = err
	return n, err
}

// failed returns the fault that stands behind err if it is the body's: the
// client was too slow, sent too much, sent nonsense, or went away.
func (b *body) failed(err error) (gone bool, known error) {
	if b.err == nil || b.err == io.EOF || !errors.Is(err, b.err) {
		return false, nil
	}
	switch {
	case errors.Is(b.err, os.ErrDeadlineExceeded):
		return false, errSlowBody
	case errors.Is(b.err, formats.ErrTooLarge):
		return false, b.err
	case errors.Is(b.err, io.ErrUnexpectedEOF), isNetwork(b.err):
		return true, nil
	}
	return false, formats.Refuse(formats.ErrBadRequest, "the request body cannot be read: it is not framed as HTTP wants")
}

// unread reports whether some of the body is still to come.
func (b *body) unread() bool { return b.ReadCloser != nil && b.err != io.EOF }

// abandon says that the rest of the body will not be read. Without it net/http
// would read that rest before the first byte of the reply, and wait for it.
func (b *body) abandon(h http.Header) {
	if b.unread() && !b.w.rearm {
		h["Connection"] = []string{"close"}
	}
}

// giveBack leaves a request with the body that net/http made: it tells by that one
// whether a client sends more than drain reads, and if so waits a moment before it
// closes the connection, so that clients which read while they send have the reply.
func (b *body) giveBack() {
	if b.of != nil {
		b.of.Body = b.ReadCloser
	}
}

// What is read of a body that nobody wants, behind the reply. A client that sends
// all before it reads would lose the reply with the connection, should that end
// with bytes on their way.
const (
	drainTime  = 5 * time.Second
	drainBytes = 16 << 20
)

// drain sends the reply and then reads the end of the body, within bounds: not over
// HTTP/2, where a body can be ended by itself, and not of a client that asked
// whether it should send one and was told not to.
func (b *body) drain() {
	if !b.unread() || b.w.rearm {
		return
	}
	// It bounds also what net/http reads by itself, without a deadline for ever.
	_ = b.w.ctl.SetReadDeadline(time.Now().Add(drainTime)) // refused by recorders only
	if !b.begun && b.w.x.r.Header.Get("Expect") != "" {
		return
	}
	if err := b.w.ctl.Flush(); err != nil {
		return // to whom there is no way
	}
	if _, err := io.CopyN(io.Discard, b.ReadCloser, drainBytes); err != nil {
		b.err = io.EOF // there is no more, or no more of use
	}
}
