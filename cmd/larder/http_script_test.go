package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// replyLimit is longer than the longest wait for an upstream.
const replyLimit = 2 * time.Minute

// exchange is a request as a script spells it.
type exchange struct {
	method, url string
	header      http.Header
	body        []byte
	rest        []string // what followed the options
}

// parseExchange reads METHOD URL [-H 'Name: value']... [-t TOKEN] [-b USER:TOKEN] [-d FILE] [-f FORM] REST...
func parseExchange(ts *testscript.TestScript, args []string) exchange {
	if len(args) < 2 {
		ts.Fatalf("an exchange needs a method and a URL")
	}
	x := exchange{method: args[0], url: args[1], header: http.Header{}, rest: args[2:]}
	for len(x.rest) >= 2 {
		switch x.rest[0] {
		case "-H":
			name, value, _ := strings.Cut(x.rest[1], ":")
			x.header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		case "-t":
			x.header.Set("Authorization", "Bearer "+x.rest[1])
		case "-b":
			x.header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(x.rest[1])))
		case "-f":
			x.header.Set("Content-Type", "application/x-www-form-urlencoded")
			x.body = []byte(x.rest[1])
		case "-d":
			data, err := os.ReadFile(ts.MkAbs(x.rest[1]))
			ts.Check(err)
			x.body = data
		default:
			return x
		}
		x.rest = x.rest[2:]
	}
	return x
}

// cmdHTTP makes one request and asserts its status; the body goes to stdout and
// the status line with the header to stderr:
//
//	http METHOD URL [-H 'Name: value']... [-t TOKEN] [-b USER:TOKEN] [-d FILE] [-f FORM] STATUS
//
// STATUS may be several, as in 404|410, and "broken" for a reply that breaks off.
// The path is sent as it is written, dots and escapes included, redirects are
// not followed, nothing is decompressed, and a body is JSON unless a header says otherwise.
func cmdHTTP(ts *testscript.TestScript, neg bool, args []string) {
	x := parseExchange(ts, args)
	usage(ts, neg || len(x.rest) != 1, "http METHOD URL [-H 'Name: value']... [-t TOKEN] [-b USER:TOKEN] [-d FILE] [-f FORM] STATUS")
	q := x.request(ts)
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true, ExpectContinueTimeout: replyLimit}
	w, err := (&http.Client{Transport: transport, Timeout: replyLimit, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}).Do(q)
	ts.Check(err)
	defer w.Body.Close()
	body, err := io.ReadAll(w.Body)
	_, printErr := ts.Stdout().Write(body)
	ts.Check(printErr)
	printHead(ts.Stderr(), w)
	status := strconv.Itoa(w.StatusCode)
	if err != nil {
		fmt.Fprintf(ts.Stderr(), "broken off after %d bytes: %v\n", len(body), err)
		status = "broken"
	}
	if !slices.Contains(strings.Split(x.rest[0], "|"), status) {
		ts.Fatalf("%s %s answered %s (%s), want %s: %s", x.method, x.url, status, w.Status, x.rest[0], tail(string(body), 10))
	}
}

// request keeps the path as it is spelled: a parsed URL would be tidied.
func (x exchange) request(ts *testscript.TestScript) *http.Request {
	scheme, rest, _ := strings.Cut(x.url, "://")
	host, path, _ := strings.Cut(rest, "/")
	q, err := http.NewRequest(x.method, scheme+"://"+host+"/", bytes.NewReader(x.body))
	ts.Check(err)
	path, query, _ := strings.Cut(path, "?")
	q.URL = &url.URL{Scheme: scheme, Host: host, Opaque: "/" + path, RawQuery: query}
	q.Header = x.header
	if len(x.body) > 0 && q.Header.Get("Content-Type") == "" {
		q.Header.Set("Content-Type", "application/json")
	}
	return q
}

// printHead writes the status line and the header in a stable order.
func printHead(out io.Writer, w *http.Response) {
	fmt.Fprintln(out, w.Proto, w.Status)
	var names []string
	for name := range w.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(out, "%s: %s\n", name, strings.Join(w.Header[name], ", "))
	}
}

// cmdHold begins a request and never ends it: http-hold METHOD URL [-t TOKEN] -d FILE.
// The header and half of the body are sent, and the connection stays open until
// the story ends.
func cmdHold(ts *testscript.TestScript, neg bool, args []string) {
	x := parseExchange(ts, args)
	usage(ts, neg || len(x.rest) != 0 || len(x.body) == 0, "http-hold METHOD URL [-t TOKEN] -d FILE")
	u, err := url.Parse(x.url)
	ts.Check(err)
	conn, err := net.DialTimeout("tcp", u.Host, waitLimit)
	ts.Check(err)
	ts.Defer(func() { conn.Close() })
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", x.method, u.RequestURI(), u.Host, len(x.body))
	ts.Check(x.header.Write(&head))
	head.WriteString("\r\n")
	head.Write(x.body[:len(x.body)/2])
	_, err = conn.Write(head.Bytes())
	ts.Check(err)
	// The server has read what was sent once it has had this long; when it has
	// not, the story still holds, only with less of the body.
	time.Sleep(200 * time.Millisecond)
}
