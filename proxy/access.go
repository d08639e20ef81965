package proxy

import (
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"larder/formats"
	"larder/policy"
	"larder/policy/token"
)

// end runs behind every request: it catches panics, and logs and counts once.
func (x *exchange) end() {
	v := recover()
	var stack []byte
	if v != nil && v != http.ErrAbortHandler {
		x.err, stack = fmt.Errorf("panic: %v", v), debug.Stack()
		if x.status == 0 {
			v = nil
			x.apologize()
		}
	}
	// What is still buffered is sent after the handler returns.
	x.arm(time.Now())
	x.record(stack, v != nil)
	if v != nil {
		panic(http.ErrAbortHandler)
	}
	x.body.drain()
	x.body.giveBack()
}

// apologize answers after a panic, without asking the format, which may be
// what panicked.
func (x *exchange) apologize() {
	x.format = nil
	defer func() {
		// A client that is gone is no second fault; the first one is logged.
		if v := recover(); v != nil && v != http.ErrAbortHandler {
			panic(v)
		}
	}()
	x.refuse(&formats.Failure{Status: internal.status, Err: x.err, Sentence: internal.sentence, RequestID: x.id})
}

// record writes the access line and counts.
func (x *exchange) record(stack []byte, cut bool) {
	took := time.Since(x.start)
	if x.status == 0 {
		x.status = http.StatusOK // what net/http sends for a handler that wrote nothing
	}
	o := Observation{Op: x.section, Method: methodLabel(x.r.Method), Status: x.status, Bytes: x.bytes, Took: took}
	if x.mount != nil {
		o.Format, o.Op = x.mount.Format().Name(), x.req.Op
	}
	if r := x.Header()["X-Cache"]; len(r) > 0 {
		o.Result = formats.Result(r[0])
	}
	if x.edge.Metrics != nil {
		x.edge.Metrics.Ended(o)
	}
	x.log(&o, stack, cut)
}

// log writes one line. Field by field without reflection: it is on the hit path.
func (x *exchange) log(o *Observation, stack []byte, cut bool) {
	line := x.edge.Log.Info()
	if x.status >= 500 || stack != nil {
		line = x.edge.Log.Error()
	}
	if line == nil {
		return
	}
	var addr [64]byte
	line.Str("request_id", x.id).Bytes("remote", x.remote.AppendTo(addr[:0]))
	if !x.caller.Anonymous() {
		line.Str("user", x.caller.User).Str("token", x.caller.TokenID)
	}
	line.Str("method", token.Redact(x.r.Method)).Str("path", x.logPath())
	if x.mount != nil {
		line.Str("registry", x.mount.Name()).Str("format", o.Format)
	}
	if x.repository != "" {
		line.Str("repository", token.Redact(x.repository))
	}
	if o.Op != "" {
		line.Str("op", o.Op)
	}
	if x.req.Action != "" {
		line.Str("action", string(x.req.Action))
	}
	if x.req.Package != "" {
		line.Str("package", token.Redact(x.req.Package))
	}
	if x.req.Version != "" {
		line.Str("version", token.Redact(x.req.Version))
	}
	line.Int("status", x.status).Int64("bytes", x.bytes)
	if o.Result != "" {
		line.Str("cache", string(o.Result))
	}
	line.Float64("duration_ms", float64(o.Took.Microseconds())/1000).Str("agent", token.Redact(agent(x.r.Header["User-Agent"])))
	if x.decision != "" {
		line.Str("decision", x.decision)
	}
	if x.err != nil {
		line.Str("error", token.Redact(x.err.Error()))
	}
	if cut {
		line.Bool("cut", true)
	}
	if stack != nil {
		line.Bytes("stack", stack)
	}
	line.Msg("request")
}

// logPath is the escaped path without query and secrets. Calls about accounts
// carry login codes and tokens as segments, so of those only the mount is kept;
// their op says which they were.
func (x *exchange) logPath() string {
	const most = 1024
	u := x.r.URL
	switch {
	case x.mount != nil && (x.req.Action == policy.Self || x.req.Action == policy.Open):
		return x.prefix + "…"
	case strings.HasPrefix(u.Path, "/ui/login"):
		return "/ui/login…"
	}
	path := u.EscapedPath()
	if clean := token.Redact(u.Path); clean != u.Path {
		path = (&url.URL{Path: clean}).EscapedPath()
	}
	if len(path) > most {
		path = path[:most] + "…"
	}
	return path
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// agent is the family of a User-Agent: its first word up to a slash.
func agent(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	const most = 32
	s := lines[0]
	for i := 0; i < len(s); i++ {
		if c := s[i]; i == most || !isAlnum(c) && c != '-' && c != '_' && c != '.' {
			return s[:i]
		}
	}
	return s
}

// methodLabel keeps the label's values bounded.
func methodLabel(m string) string {
	switch m {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return m
	}
	return "OTHER"
}
