package proxy

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"larder/policy"
)

// writer is the one wrapper around net/http's writer. It counts, holds slow
// readers to a least rate, and keeps io.ReaderFrom, through which the kernel
// sends files; http.ResponseController sees through it.
type writer struct {
	http.ResponseWriter
	x      *exchange
	from   io.ReaderFrom // of ResponseWriter; nil over HTTP/2
	conn   *conn         // nil where writes are not joined
	ctl    http.ResponseController
	status int   // 0 until the head was written
	bytes  int64 // of the body
	pace   pace
	// rearm: over HTTP/2 a deadline that passes resets the stream even while
	// nobody writes, so it is lifted between writes.
	rearm bool
}

func (w *writer) wrap(inner http.ResponseWriter, x *exchange) {
	w.ResponseWriter, w.x = inner, x
	w.from, _ = inner.(io.ReaderFrom)
	w.ctl = *http.NewResponseController(inner)
	w.conn = connOf(x.r)
	w.pace = newPace(writeRate, writeSlack)
	w.rearm = x.r.ProtoMajor >= 2
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Abort cuts the reply and leaves cause to the log. It does not return.
func (w *writer) Abort(cause error) {
	w.x.err = cause
	panic(http.ErrAbortHandler)
}

// WriteHeader sends the head.
func (w *writer) WriteHeader(status int) {
	if status >= 200 && w.status == 0 {
		w.status = status
		w.x.body.abandon(w.Header())
		w.stamp()
		w.arm(time.Now())
	}
	w.ResponseWriter.WriteHeader(status)
}

// stamp adds the caller's scopes, except where a shared cache may keep the
// reply and would show one caller's scopes to others.
func (w *writer) stamp() {
	if w.x.caller.Anonymous() {
		return
	}
	h := w.Header()
	if cc := h["Cache-Control"]; len(cc) > 0 && strings.HasPrefix(cc[0], "public") {
		return
	}
	h["X-Oauth-Scopes"] = []string{policy.JoinScopes(w.x.caller.Scopes)}
}

// arm sets the write deadline for the next piece.
func (w *writer) arm(now time.Time) {
	if at, moved := w.pace.next(now); moved {
		// Only a writer without deadlines (a recorder) refuses.
		_ = w.ctl.SetWriteDeadline(at)
	}
}

// step runs one piece of the body under a deadline.
func (w *writer) step(move func() (int64, error)) (n int64, err error) {
	began := time.Now()
	w.arm(began)
	if w.bytes == 0 && w.conn != nil {
		w.conn.join()
		defer func() { err = errors.Join(err, w.conn.release()) }()
	}
	n, err = move()
	w.bytes += n
	w.pace.took(time.Since(began), n)
	if w.rearm {
		w.pace.deadline = time.Time{}
		_ = w.ctl.SetWriteDeadline(time.Time{})
	}
	return n, err
}

// Write sends a part of the body.
func (w *writer) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	sent := 0
	for {
		part := p[sent:]
		part = part[:min(int64(len(part)), w.pace.piece())]
		n, err := w.step(func() (int64, error) {
			n, err := w.ResponseWriter.Write(part)
			return int64(n), err
		})
		sent += int(n)
		if err != nil || sent == len(p) {
			return sent, err
		}
	}
}

// ReadFrom sends src to its end. A file, or an io.LimitedReader over one, goes
// to net/http's writer piece by piece, so that each has a deadline and the
// kernel still copies.
func (w *writer) ReadFrom(src io.Reader) (int64, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	limited, ok := src.(*io.LimitedReader)
	if !ok {
		limited = &io.LimitedReader{R: src, N: 1<<63 - 1}
	}
	if _, ok := limited.R.(*os.File); !ok || w.from == nil {
		return io.Copy(writeOnly{w}, src)
	}
	if limited.N > joinFile {
		w.conn = nil
	}
	var sent int64
	piece := &io.LimitedReader{R: limited.R}
	for limited.N > 0 {
		size := min(limited.N, w.pace.piece())
		piece.N = size
		n, err := w.step(func() (int64, error) { return w.from.ReadFrom(piece) })
		sent += n
		limited.N -= n
		if err != nil || n < size {
			return sent, err
		}
	}
	return sent, nil
}

// writeOnly hides ReadFrom from io.Copy.
type writeOnly struct{ io.Writer }
