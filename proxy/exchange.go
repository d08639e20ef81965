package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"larder/formats"
	"larder/policy"
)

// exchange is one request and its reply: all the edge learns on the way, in
// one allocation.
type exchange struct {
	writer
	edge  *edge
	r     *http.Request
	body  body
	start time.Time
	id    string
	client
	place
	caller policy.Subject
	req    formats.Request
	// wanted is what a caller wanted who could not be identified: the refusal has to
	// say which token would do, and nothing else makes use of it.
	wanted formats.Request
	home   string // repository of the thing asked for, "" if it has none
	gated  bool   // policy has been asked about the request
	err    error  // why it failed
	// decision is the id of the refusal, "" for none and for what is hidden.
	decision string
}

// place is where a path leads.
type place struct {
	mount      Mount
	format     formats.Format // of mount
	repository string         // owner/name under /r/
	path       []string       // below the mount
	prefix     string         // path of the mount, with slashes at both ends
	base       string         // root and prefix: the URL of the registry
	section    string         // first segment, when there is no mount
	handler    http.Handler
}

func (e *edge) begin(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{edge: e, r: r, start: time.Now(), id: e.ids.of(r.Header)}
	x.writer.wrap(w, x)
	if r.Body != nil && r.Body != http.NoBody {
		x.body.wrap(r, &x.writer, e.MaxBody)
	}
	w.Header()["X-Request-Id"] = []string{x.id}
	if e.Metrics != nil {
		e.Metrics.Began()
	}
	return x
}

// handle runs the steps of the package comment. An error means that nothing
// was written, or that the reply must be cut.
func (x *exchange) handle() error {
	x.frame()
	segments, trailing, bad := formats.SplitPath(x.r.URL)
	peer, err := x.edge.clientOf(x.r)
	x.client = peer
	if err != nil {
		return err
	}
	missing := x.find(segments, trailing)
	if err := x.admit(bad, missing); err != nil {
		return err
	}
	if x.handler != nil {
		x.body.open = true
		x.handler.ServeHTTP(&x.writer, x.r.WithContext(x.context()))
		return nil
	}
	req, wrong := x.parse(trailing)
	if err := x.identify(req); err != nil && !(wrong == nil && signsIn(req, err)) {
		x.wanted = req
		return err
	}
	if wrong != nil {
		return wrong
	}
	return x.serve(req)
}

// frame closes the connection behind requests whose end two readers might see
// at different places, so that what follows is never read as a request: chunked
// bodies (net/http hides a Content-Length beside them) and HTTP/1.0, for which
// it drops a Transfer-Encoding unread.
func (x *exchange) frame() {
	if x.r.ProtoMajor == 1 && (x.r.ProtoMinor == 0 || len(x.r.TransferEncoding) > 0) {
		x.Header()["Connection"] = []string{"close"}
	}
}

// admit makes the checks that need no caller.
func (x *exchange) admit(bad, missing error) error {
	switch {
	case x.r.URL.Host != "" || x.r.Method == http.MethodConnect:
		return formats.Refuse(formats.ErrBadRequest, "this is no forward proxy: the request target must be a path, not a URL")
	case bad != nil:
		return bad
	case missing != nil:
		return missing
	case x.crossSite():
		return formats.Refuse(policy.ErrDenied, "a page of another site sent this request: open the page here, and send it from there")
	case x.r.ContentLength > x.edge.MaxBody:
		return x.edge.tooLarge()
	}
	return nil
}

func (e *edge) tooLarge() error {
	return formats.Refuse(formats.ErrTooLarge, fmt.Sprintf("the request body is larger than the limit of %d bytes", e.MaxBody))
}

// identify asks who it is. Probes and handlers do not come here.
func (x *exchange) identify(req formats.Request) error {
	if req.Guests && unsigned(x.r) {
		return nil
	}
	caller, err := x.edge.Identifier.Identify(x.r, x.remote)
	if err != nil {
		return err
	}
	x.caller = caller
	return nil
}

// unsigned reports that the one credential of a request is an empty one.
func unsigned(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	return ok && user == "" && password == "" && len(r.Header["Authorization"]) == 1
}

// signsIn reports that a refused credential does not matter: package clients
// send the one they kept along with the login that is to replace it.
func signsIn(req formats.Request, refused error) bool {
	return req.SignIn && errors.Is(refused, policy.ErrUnauthenticated)
}

// parse asks the format what is wanted. The path may end in a slash at the root
// of a registry, and where the format knows what that means.
func (x *exchange) parse(trailing bool) (formats.Request, error) {
	if _, slashed := x.format.(formats.Slashed); trailing && len(x.path) > 0 && !slashed {
		return formats.Request{}, formats.Refuse(formats.ErrBadRequest, "the path ends in an empty segment: leave out the final slash")
	}
	req, err := x.format.Parse(x.r, x.path)
	if err != nil {
		return req, err
	}
	return x.fallBack(req)
}

// serve asks policy and lets the format answer.
func (x *exchange) serve(req formats.Request) error {
	x.req, x.base = req, x.root+x.prefix
	registry, err := x.allow()
	if err != nil {
		return err
	}
	call := formats.Call{
		Request: req, Registry: registry, Accounts: x.edge.Accounts, Caller: x.caller,
		Remote: x.remote, Base: x.base, Origin: x.origin(),
	}
	x.body.open = true
	if x.changes() {
		x.r = x.r.WithContext(x.audited(x.r.Context()))
	}
	return x.format.Serve(&x.writer, x.r, &call)
}

// allow is the one place where policy is asked about a request.
func (x *exchange) allow() (formats.Registry, error) {
	ctx := x.r.Context()
	x.gated = true
	if x.req.Action == "" {
		return nil, fmt.Errorf("%s operation %q has no action: %w", x.format.Name(), x.req.Op, policy.ErrDenied)
	}
	res, err := x.mount.Resource(ctx, x.repository, x.req)
	if err != nil {
		return nil, err
	}
	x.home = res.Repository
	if err := x.edge.Authorizer.Authorize(ctx, x.caller, x.req.Action, res).Err(); err != nil {
		return nil, err
	}
	return x.mount.For(x.caller, x.repository, x.base), nil
}
