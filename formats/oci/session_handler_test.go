package oci_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"larder/proxy/registry"
)

// step is one request of a session with what must come of it: the answer, and
// how far the upload is then ("" where it is over).
type step struct {
	method, query, body, field string
	want, held                 string
}

// TestSessions: the states of an upload, and what each request comes to in them.
func TestSessions(t *testing.T) {
	whole := "?digest=" + digestOf("0123456789")
	gone := "404 BLOB_UPLOAD_UNKNOWN"
	for name, steps := range map[string][]step{
		"nothing yet":       {{"GET", "", "", "", "204", "0-0"}},
		"appended":          {{"PATCH", "", "01234", "", "202", "0-4"}, {"PATCH", "", "56789", "", "202", "0-9"}, {"PUT", whole, "", "", "201", ""}},
		"one piece":         {{"PUT", whole, "0123456789", "", "201", ""}},
		"the rest at last":  {{"PATCH", "", "0123", "", "202", "0-3"}, {"PUT", whole, "456789", "", "201", ""}},
		"placed":            {{"PATCH", "", "01234", "0-4", "202", "0-4"}, {"PUT", whole, "56789", "5-9", "201", ""}},
		"no bytes":          {{"PATCH", "", "", "", "202", "0-0"}, {"PUT", "?digest=" + digestOf(""), "", "", "201", ""}},
		"a gap":             {{"PATCH", "", "01234", "0-4", "202", "0-4"}, {"PATCH", "", "789", "7-9", "416 BLOB_UPLOAD_INVALID at byte 5", "0-4"}},
		"a gap at last":     {{"PATCH", "", "01234", "", "202", "0-4"}, {"PUT", whole, "789", "7-9", "416 BLOB_UPLOAD_INVALID", "0-4"}, {"PUT", whole, "56789", "", "201", ""}},
		"twice":             {{"PATCH", "", "01234", "0-4", "202", "0-4"}, {"PATCH", "", "01234", "0-4", "416 BLOB_UPLOAD_INVALID", "0-4"}},
		"less than it says": {{"PATCH", "", "01", "", "202", "0-1"}, {"PATCH", "", "234", "2-5", "400 SIZE_INVALID announces 4 bytes, and the body has 3", "0-1"}},
		"more than it says": {{"PATCH", "", "01", "", "202", "0-1"}, {"PATCH", "", "23456", "2-5", "400 SIZE_INVALID", "0-1"}},
		"backwards":         {{"PATCH", "", "0123", "5-3", "400 BLOB_UPLOAD_INVALID", "0-0"}},
		"words":             {{"PATCH", "", "0123", "a-b", "400 BLOB_UPLOAD_INVALID", "0-0"}},
		"too far":           {{"PATCH", "", "0123", "0-99999999999999999999", "400 BLOB_UPLOAD_INVALID", "0-0"}},
		"wrong digest":      {{"PATCH", "", "01234", "", "202", "0-4"}, {"PUT", whole, "5678", "", "400 DIGEST_INVALID", ""}, {"GET", "", "", "", gone, ""}},
		"no digest":         {{"PATCH", "", "01234", "", "202", "0-4"}, {"PUT", "", "", "", "400 DIGEST_INVALID missing", "0-4"}},
		"bad digest":        {{"PUT", "?digest=md5:0", "", "", "400 DIGEST_INVALID", "0-0"}},
		"two digests":       {{"PUT", whole + "&" + whole[1:], "0123456789", "", "400 DIGEST_INVALID", "0-0"}},
		"cancelled":         {{"PATCH", "", "01234", "", "202", "0-4"}, {"DELETE", "", "", "", "204", ""}, {"PATCH", "", "5", "", gone, ""}, {"PUT", whole, "", "", gone, ""}, {"DELETE", "", "", "", gone, ""}},
		"over":              {{"PUT", whole, "0123456789", "", "201", ""}, {"GET", "", "", "", gone, ""}, {"PATCH", "", "5", "", gone, ""}, {"PUT", whole, "0123456789", "", gone, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			at := w.begin("wim", "acme/app")
			for _, s := range steps {
				lines := []string{}
				if s.field != "" {
					lines = append(lines, "Content-Range: "+s.field)
				}
				got := w.want(s.want, s.method+" "+at+s.query, "wim", s.body, lines...)
				if strings.HasPrefix(s.want, "416") && (got.Header.Get("Location") != "/v2"+at || got.Header.Get("Range") != s.held) {
					t.Errorf("%+v: says %v", s, got.Header)
				}
				if s.held == "" {
					w.want(gone, "GET "+at, "wim", "")
					continue
				}
				got = w.want("204", "GET "+at, "wim", "")
				if got.Header.Get("Range") != s.held || got.Header.Get("Location") != "/v2"+at {
					t.Errorf("%+v: now %v, want %s", s, got.Header, s.held)
				}
			}
			want := "404"
			if last := steps[len(steps)-1]; last.want == "201" || name == "over" {
				want = "200"
			}
			if name != "no bytes" {
				w.want(want, "GET /acme/app/blobs/"+digestOf("0123456789"), "wim", "")
			}
		})
	}
}

// TestSessionsOfOthers: a session belongs to its image, and to whoever may push
// there, by whatever token.
func TestSessionsOfOthers(t *testing.T) {
	w := newWorld(t)
	at := w.begin("wim", "acme/app")
	elsewhere := strings.Replace(at, "/app/", "/other/", 1)
	for _, line := range []string{"GET ", "PATCH ", "DELETE "} {
		w.want("404 BLOB_UPLOAD_UNKNOWN", line+elsewhere, "wim", "")
		w.want("403 DENIED", line+at, "rita", "")
		w.want("403 DENIED", line+at, "bob", "")
		w.want("401 UNAUTHORIZED", line+at, "", "")
	}
	w.want("404 BLOB_UPLOAD_UNKNOWN", "PUT "+elsewhere+"?digest="+digestOf("x"), "wim", "x")
	w.want("404 BLOB_UPLOAD_UNKNOWN", "GET /acme/app/blobs/uploads/ABCDEFGHIJKLMNOPQRSTUVWXYZ", "wim", "")
	w.want("201", "PUT "+at+"?digest="+digestOf("x"), "olga", "x")
	w.Clock.Advance(time.Second)
	at = w.begin("wim", "acme/app")
	w.Clock.Advance(25 * time.Hour)
	w.want("404 BLOB_UPLOAD_UNKNOWN", "PATCH "+at, "wim", "x")
}

// broken is a body that breaks off.
type broken struct {
	io.Reader
	err error
}

func (b *broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = b.err
	}
	return n, err
}

// TestCutChunk: what came of a body that was cut stays, and the upload goes on
// behind it.
func TestCutChunk(t *testing.T) {
	for name, cut := range map[string]error{"by the network": io.ErrUnexpectedEOF, "by nonsense": errors.New("bad chunk")} {
		for _, method := range []string{"PATCH", "PUT"} {
			w := newWorld(t)
			at := w.begin("wim", "acme/app")
			whole := strings.Repeat("0123456789", 300_000)
			query := ""
			if method == "PUT" {
				query = "?digest=" + digestOf(whole)
			}
			w.send(w.request(method, at+query, "wim", &broken{strings.NewReader(whole[:2_500_000]), cut}))
			if got := w.want("204", "GET "+at, "wim", ""); got.Header.Get("Range") != "0-2499999" {
				t.Errorf("%s %s: %v", method, name, got.Header)
			}
			w.want("201", "PUT "+at+"?digest="+digestOf(whole), "wim", whole[2_500_000:], "Content-Range: 2500000-2999999")
			if got := w.want("200", "GET /acme/app/blobs/"+digestOf(whole), "wim", ""); string(got.body) != whole {
				t.Errorf("%s %s: other bytes", method, name)
			}
		}
	}
}

// waiting is a body that is not there yet.
type waiting struct {
	began, open chan struct{}
}

func (b *waiting) Read([]byte) (int, error) {
	close(b.began)
	<-b.open
	return 0, io.EOF
}

// TestTwoWriters: the second is refused at once, and the first is not disturbed.
func TestTwoWriters(t *testing.T) {
	w := newWorld(t)
	at := w.begin("wim", "acme/app")
	slow := &waiting{make(chan struct{}), make(chan struct{})}
	done := make(chan *reply)
	go func() {
		done <- w.send(w.request("PATCH", at, "wim", io.MultiReader(strings.NewReader("first"), slow)))
	}()
	<-slow.began
	w.want("409 BLOB_UPLOAD_INVALID another request", "PATCH "+at, "wim", "second")
	w.want("409 BLOB_UPLOAD_INVALID", "PUT "+at+"?digest="+digestOf("second"), "wim", "second")
	close(slow.open)
	w.is("202", "the first", <-done)
	w.want("201", "PUT "+at+"?digest="+digestOf("first"), "wim", "")
}

// TestBusySession: who asks is told how far it was, and who cancels it ends the
// writer too, which may come to the end of its chunk or of the blob.
func TestBusySession(t *testing.T) {
	for _, method := range []string{"PATCH", "PUT"} {
		w := newWorld(t)
		at := w.begin("wim", "acme/app")
		w.want("202", "PATCH "+at, "wim", "first")
		slow := &waiting{make(chan struct{}), make(chan struct{})}
		done := make(chan *reply)
		go func() {
			body := io.MultiReader(strings.NewReader(" second"), slow)
			done <- w.send(w.request(method, at+"?digest="+digestOf("first second"), "wim", body))
		}()
		<-slow.began
		got := w.want("204", "GET "+at, "wim", "")
		if got.Header.Get("Range") != "0-4" || got.Header.Get("Location") != "/v2"+at || got.Header.Get("Docker-Upload-Uuid") == "" {
			t.Errorf("%s: a busy session is %v", method, got.Header)
		}
		w.want("403 DENIED", "DELETE "+at, "rita", "")
		w.want("204", "DELETE "+at, "wim", "")
		w.want("404 BLOB_UPLOAD_UNKNOWN", "GET "+at, "wim", "")
		w.want("404 BLOB_UPLOAD_UNKNOWN", "DELETE "+at, "wim", "")
		w.want("404 BLOB_UPLOAD_UNKNOWN", "PATCH "+at, "wim", "other")
		close(slow.open)
		w.is("404 BLOB_UPLOAD_UNKNOWN", "the writer", <-done)
		w.want("404 BLOB_UPLOAD_UNKNOWN", "GET "+at, "wim", "")
		w.want("404", "GET /acme/app/blobs/"+digestOf("first second"), "wim", "")
	}
}

// TestTooLarge: what says itself that it is too large is refused unread, and
// what does not is refused where it passes the limit.
func TestTooLarge(t *testing.T) {
	w := newWorld(t, func(w *world) { w.opt.MaxBlob = 100 })
	long := strings.Repeat("x", 101)
	w.want("413 SIZE_INVALID 100 bytes", "POST /acme/app/blobs/uploads/?digest="+digestOf(long), "wim", long)
	at := w.begin("wim", "acme/app")
	w.want("413 SIZE_INVALID", "PATCH "+at, "wim", long)
	w.want("202", "PATCH "+at, "wim", long[:60])
	w.want("413 SIZE_INVALID", "PATCH "+at, "wim", long[:60])
	w.want("413 SIZE_INVALID", "PUT "+at+"?digest="+digestOf(long), "wim", long[:60])
	for _, method := range []string{"PATCH", "PUT"} {
		r := w.request(method, at+"?digest="+digestOf(long), "wim", io.MultiReader(strings.NewReader(long)))
		r.ContentLength = -1
		w.is("413 SIZE_INVALID", "a chunk of unknown length", w.send(r))
	}
	if got := w.want("204", "GET "+at, "wim", ""); got.Header.Get("Range") != "0-59" {
		t.Errorf("after the refusals: %v", got.Header)
	}
	w.want("201", "PUT "+at+"?digest="+digestOf(long[:100]), "wim", long[:40])
	w.want("404 BLOB_UNKNOWN", "HEAD /acme/app/blobs/"+digestOf(long), "wim", "")
}

// TestMonolithic: a blob in one request.
func TestMonolithic(t *testing.T) {
	w := newWorld(t)
	at := "POST /acme/app/blobs/uploads?digest="
	w.want("201", at+digestOf("blob"), "wim", "blob", "Content-Type: application/json")
	w.want("201", at+digestOf("blob"), "wim", "blob")
	w.want("201", at+digestOf(""), "wim", "")
	w.want("400 DIGEST_INVALID "+digestOf("blob"), at+digestOf("blob"), "wim", "other")
	w.want("404", "GET /acme/app/blobs/"+digestOf("other"), "wim", "")
	w.want("403 DENIED", at+digestOf("x"), "rita", "x")
	w.want("403 DENIED", at+digestOf("x"), "bob", "x")
	w.want("401 UNAUTHORIZED", at+digestOf("x"), "", "x")
	w.want("404", "GET /acme/app/blobs/"+digestOf("x"), "wim", "")
}

// TestTooManySessions: a user, all users, and all open bytes have their limits.
func TestTooManySessions(t *testing.T) {
	w := newWorld(t, func(w *world) { w.limits = registry.UploadLimits{PerUser: 2, Open: 3, Bytes: 10} })
	first := w.begin("wim", "acme/app")
	w.begin("wim", "acme/app")
	got := w.want("429 TOOMANYREQUESTS", "POST /acme/app/blobs/uploads/", "wim", "")
	if got.Header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After: %v", got.Header)
	}
	other := w.begin("olga", "acme/app")
	w.want("429 TOOMANYREQUESTS", "POST /acme/app/blobs/uploads/", "admin", "")
	w.want("202", "PATCH "+first, "wim", "123456")
	got = w.want("429 TOOMANYREQUESTS", "PATCH "+other, "olga", "1234567")
	if f := w.failure(got); !strings.Contains(f.Message, "10") {
		t.Errorf("the limit is not named: %s", f.Message)
	}
	w.want("204", "DELETE "+first, "wim", "")
	w.want("202", "PATCH "+other, "olga", "1234567")
	w.begin("wim", "acme/app")
}
