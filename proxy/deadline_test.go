package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// timed is a writer that notes the deadlines it is given.
type timed struct {
	*httptest.ResponseRecorder
	reads, writes []time.Time
}

func (w *timed) SetReadDeadline(at time.Time) error  { w.reads = append(w.reads, at); return nil }
func (w *timed) SetWriteDeadline(at time.Time) error { w.writes = append(w.writes, at); return nil }

// upload sends a request with a body and returns the deadlines it led to.
func upload(t *testing.T, major int) *timed {
	t.Helper()
	w := newWorld(t, nil)
	r := httptest.NewRequest("PUT", "/pad/a/1", strings.NewReader("some bytes"))
	r.ProtoMajor = major
	rec := &timed{ResponseRecorder: httptest.NewRecorder()}
	w.handler.ServeHTTP(rec, r)
	if rec.Code != http.StatusConflict || len(rec.reads) == 0 || len(rec.writes) == 0 {
		t.Fatalf("HTTP/%d: %d, %d and %d deadlines", major, rec.Code, len(rec.reads), len(rec.writes))
	}
	return rec
}

// net/http watches the connection after the body: a deadline left behind would
// look like a client that went away.
func TestTheReadDeadlineIsLiftedAfterTheBody(t *testing.T) {
	for _, major := range []int{1, 2} {
		rec := upload(t, major)
		if first := rec.reads[0]; first.IsZero() {
			t.Errorf("HTTP/%d: the body was read without a deadline", major)
		}
		if last := rec.reads[len(rec.reads)-1]; !last.IsZero() {
			t.Errorf("HTTP/%d: the read deadline stays at %v", major, last)
		}
	}
}

// Over HTTP/1.1 a deadline stays until the next one. Over HTTP/2 it would reset
// the stream while nobody writes, so it is lifted after each piece, and set
// again for what is sent after the handler.
func TestWriteDeadlines(t *testing.T) {
	for _, at := range upload(t, 1).writes {
		if at.IsZero() {
			t.Error("HTTP/1.1: the write deadline was lifted")
		}
	}
	rec := upload(t, 2)
	lifted := false
	for _, at := range rec.writes {
		lifted = lifted || at.IsZero()
	}
	if !lifted || rec.writes[len(rec.writes)-1].IsZero() {
		t.Errorf("HTTP/2: %v", rec.writes)
	}
}

// A large body goes out in pieces, each under its own deadline.
func TestLargeWritesAreCut(t *testing.T) {
	x := &exchange{r: httptest.NewRequest("GET", "/", nil)}
	var pieces recorder
	x.wrap(&pieces, x)
	n, err := x.Write(make([]byte, 3<<20))
	if n != 3<<20 || err != nil || x.bytes != 3<<20 {
		t.Errorf("Write: %d, %v, counted %d", n, err, x.bytes)
	}
	if most := int(writeRate * writeSlack / time.Second); pieces.largest > most {
		t.Errorf("a piece of %d bytes, want at most %d", pieces.largest, most)
	}
	if m, err := x.ReadFrom(strings.NewReader("not a file")); m != 10 || err != nil || x.bytes != 3<<20+10 {
		t.Errorf("ReadFrom: %d, %v", m, err)
	}
	if m, err := x.ReadFrom(io.LimitReader(strings.NewReader("not a file"), 3)); m != 3 || err != nil {
		t.Errorf("ReadFrom with a limit: %d, %v", m, err)
	}
}

// recorder notes the largest piece written.
type recorder struct {
	sink
	largest int
}

func (r *recorder) Header() http.Header { return http.Header{} }

func (r *recorder) Write(p []byte) (int, error) {
	r.largest = max(r.largest, len(p))
	return len(p), nil
}
