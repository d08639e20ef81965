package proxytest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
)

// Request builds a request from Here. who is a user, a token itself, or "" for
// nobody; lines are header lines, and what they name has no other value.
func (w *World) Request(method, target, who string, body io.Reader, lines ...string) *http.Request {
	r := httptest.NewRequest(method, target, body)
	r.RemoteAddr = Here().String() + ":1234"
	if secret, ok := w.Tokens[who]; ok {
		who = secret
	}
	if who != "" {
		r.Header.Set("Authorization", "Bearer "+who)
	}
	named := http.Header{}
	for _, line := range lines {
		key, value, _ := strings.Cut(line, ": ")
		named.Add(key, value)
	}
	for key, values := range named {
		r.Header[key] = values
	}
	return r
}

// Reply is what came back.
type Reply struct {
	*http.Response
	Bytes []byte
	Cut   bool // the connection was ended before the body was
}

// Send sends a request through a recorder.
func (w *World) Send(r *http.Request) Reply {
	rec := httptest.NewRecorder()
	cut := false
	func() {
		defer func() {
			if v := recover(); v != nil && v != http.ErrAbortHandler {
				panic(v)
			} else if v != nil {
				cut = true
			}
		}()
		w.Edge.ServeHTTP(rec, r)
	}()
	return Reply{rec.Result(), rec.Body.Bytes(), cut}
}
