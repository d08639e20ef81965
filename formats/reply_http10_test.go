package formats

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// To a client of HTTP/1.0, such as a proxy in front of us, a body without a
// length ends with its connection, and one that was cut looks whole: it gets a
// length, or an error.
func TestReplyToHTTP10(t *testing.T) {
	long := strings.Repeat("0123456789", 10_000)
	packed := zip(long)
	for name, tt := range map[string]struct {
		content Content
		status  int
	}{
		"unknown size":            {Content{Size: -1, Follow: follow(long, nil)}, 200},
		"unknown size, cut":       {Content{Size: -1, Follow: follow(long[:50_000], errors.New("cut"))}, 500},
		"gzip undone":             {Content{Size: int64(len(packed)), Bytes: packed, Encoding: "gzip"}, 200},
		"gzip of unknown size":    {Content{Size: -1, Follow: follow(string(packed), nil), Encoding: "gzip"}, 200},
		"gzip undone, cut":        {Content{Bytes: packed[:len(packed)-9], Encoding: "gzip"}, 500},
		"gzip of another content": {Content{Bytes: []byte("plain"), Encoding: "gzip"}, 500},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := Reply(w, r, &tt.content); err != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}))
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != tt.status || resp.ContentLength < 0 || tt.status == 200 && string(body) != long {
			t.Errorf("%s: status %d, %d bytes of %d, %v", name, resp.StatusCode, len(body), resp.ContentLength, err)
		}
		c.Close()
		srv.Close()
	}
}
