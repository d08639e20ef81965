package faulty

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"
)

// Until is ctx, ended by wake as well. The caller cancels it.
func Until(ctx context.Context, wake <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-wake:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// Pause returns after d, or when ctx ends.
func Pause(ctx context.Context, d time.Duration) {
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

// Flipped is a copy of body with one bit in its middle turned over.
func Flipped(body []byte) []byte {
	if len(body) == 0 {
		return body
	}
	body = bytes.Clone(body)
	body[len(body)/2] ^= 1
	return body
}

// Question is one request to a server under test.
type Question struct {
	Method, URL string
	Body        io.Reader
	Fields      []string // names and values of the header, in turn
}

// Ask sends the request over one connection of the usual kind and follows no
// redirect. What came of a body that broke off is returned with the error.
func (q Question) Ask(ctx context.Context) (*http.Response, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, q.Method, q.URL, q.Body)
	if err != nil {
		return nil, nil, err
	}
	for i := 0; i+1 < len(q.Fields); i += 2 {
		r.Header.Set(q.Fields[i], q.Fields[i+1])
	}
	w, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, nil, err
	}
	defer w.Body.Close()
	body, err := io.ReadAll(w.Body)
	return w, body, err
}
