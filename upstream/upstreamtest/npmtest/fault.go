package npmtest

import (
	"context"
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
	Status int           // answered with a plain sentence, whatever was asked
	Delay  time.Duration // before the first byte
	Wrong  bool          // one bit in the middle of the body is flipped
	Cut    bool          // the connection breaks in the middle of the body
	Stall  bool          // nothing comes after the middle of the body
	Rate   int           // bytes per second of the body; 0 is as fast as it goes
}

// Fail adds a Fault.
func (r *Registry) Fail(f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, f)
}

// Heal takes all faults back. What stalls at that moment goes on stalling.
func (r *Registry) Heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = nil
}

// fault returns the Fault for a path; the caller holds r.mu.
func (r *Registry) fault(escaped string) Fault {
	for _, f := range r.faults {
		if strings.HasPrefix(escaped, f.Prefix) {
			return f
		}
	}
	return Fault{}
}

// reply sends body with the faults of f. wake ends delays and stalls.
func (f Fault) reply(w http.ResponseWriter, q *http.Request, wake <-chan struct{}, status int, body []byte) {
	ctx, cancel := context.WithCancel(q.Context())
	defer cancel()
	go func() {
		select {
		case <-wake:
			cancel()
		case <-ctx.Done():
		}
	}()
	pause(ctx, f.Delay)
	if f.Status != 0 {
		status, body = f.Status, []byte(`{"error":"scripted failure"}`)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Del("Content-Encoding")
	}
	if f.Wrong && len(body) > 0 {
		body = append([]byte(nil), body...)
		body[len(body)/2] ^= 1
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
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
		pause(ctx, due-time.Since(start))
	}
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
