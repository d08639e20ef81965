package faulty

import (
	"context"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// pace is how many bytes leave at a time when a Fault sets a Rate.
const pace = 16 << 10

// Fault is what goes wrong, for all paths that begin with Prefix. The faults of
// one value add up; the first Fault that fits a path applies.
type Fault struct {
	Prefix string        // escaped path; "" means every path
	Times  int           // how many requests it spoils; 0 means all
	Status int           // answered with a plain sentence, whatever was asked
	Retry  time.Duration // Retry-After, beside Status
	Delay  time.Duration // before the first byte
	Wrong  bool          // one bit in the middle of the body is flipped
	Cut    bool          // the connection breaks in the middle of the body
	Stall  bool          // nothing comes after the middle of the body
	Rate   int           // bytes per second of the body; 0 is as fast as it goes
}

// Fail adds a Fault.
func (s *Server) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Heal takes all faults back. What stalls at that moment goes on stalling.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// fault returns the Fault for a path, and counts it; the caller holds s.mu.
func (s *Server) fault(escaped string) Fault {
	for _, f := range s.faults {
		if !strings.HasPrefix(escaped, f.Prefix) || f.Times < 0 {
			continue
		}
		found := *f
		if f.Times == 1 {
			f.Times = -1 // used up
		} else if f.Times > 1 {
			f.Times--
		}
		return found
	}
	return Fault{}
}

// reply sends a with the faults of f. wake ends delays and stalls.
func (f Fault) reply(w http.ResponseWriter, q *http.Request, wake <-chan struct{}, a Answer) {
	ctx, cancel := Until(q.Context(), wake)
	defer cancel()
	Pause(ctx, f.Delay)
	h := w.Header()
	if f.Status != 0 {
		f.refuse(w, q)
		return
	}
	maps.Copy(h, a.Header)
	if a.ETag != "" {
		h.Set("ETag", a.ETag)
		if q.Header.Get("If-None-Match") == a.ETag {
			h.Del("Content-Encoding")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if a.Ranges && a.Status == http.StatusOK {
		a.part(q, h)
	}
	body := a.Body
	if f.Wrong {
		body = Flipped(body)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.Status)
	if q.Method == http.MethodHead {
		return
	}
	if f.Cut || f.Stall {
		f.send(ctx, w, body[:len(body)/2])
		// An abort is what the script asks for, so a failed flush is no matter.
		_ = http.NewResponseController(w).Flush()
		if f.Stall {
			<-ctx.Done()
		}
		panic(http.ErrAbortHandler)
	}
	f.send(ctx, w, body)
}

// refuse answers with the status of f, whatever was asked.
func (f Fault) refuse(w http.ResponseWriter, q *http.Request) {
	const body = `{"error":"scripted failure"}`
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if f.Retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(f.Retry/time.Second)))
	}
	w.WriteHeader(f.Status)
	if q.Method != http.MethodHead {
		// A client that went away is no concern of the script.
		_, _ = w.Write([]byte(body))
	}
}

// part turns a into the one range that a request may ask for.
func (a *Answer) part(q *http.Request, h http.Header) {
	h.Set("Accept-Ranges", "bytes")
	text, ok := strings.CutPrefix(q.Header.Get("Range"), "bytes=")
	if !ok || q.Header.Get("If-Range") != "" && q.Header.Get("If-Range") != a.ETag {
		return
	}
	size := len(a.Body)
	first, last, _ := strings.Cut(text, "-")
	from, errFrom := strconv.Atoi(first)
	to, errTo := strconv.Atoi(last)
	switch {
	case errFrom == nil && last == "":
		to = size - 1
	case first == "" && errTo == nil:
		from, to = max(size-to, 0), size-1
	case errFrom != nil || errTo != nil || to < from:
		return
	}
	if from >= size {
		h.Set("Content-Range", "bytes */"+strconv.Itoa(size))
		a.Status, a.Body = http.StatusRequestedRangeNotSatisfiable, nil
		return
	}
	to = min(to, size-1)
	h.Set("Content-Range", "bytes "+strconv.Itoa(from)+"-"+strconv.Itoa(to)+"/"+strconv.Itoa(size))
	a.Status, a.Body = http.StatusPartialContent, a.Body[from:to+1]
}

// send writes body at the rate of f. A client that went away ends it.
func (f Fault) send(ctx context.Context, w http.ResponseWriter, body []byte) {
	if f.Rate == 0 {
		_, _ = w.Write(body)
		return
	}
	start, sent := time.Now(), 0
	for len(body) > 0 && ctx.Err() == nil {
		n, err := w.Write(body[:min(pace, len(body))])
		if err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		body, sent = body[n:], sent+n
		due := time.Duration(float64(sent) / float64(f.Rate) * float64(time.Second))
		Pause(ctx, due-time.Since(start))
	}
}
