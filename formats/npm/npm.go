package npm

import (
	"net/http"
	"time"

	"larder/formats"
	"larder/policy"
)

// Options of the format; the zero value is good.
type Options struct {
	MaxTarball int64 // bytes of a published tarball; default 256 MiB
	Clock      func() time.Time
}

// Format is the npm registry protocol as a formats.Format.
type Format struct {
	limits Limits
	clock  func() time.Time
}

// New builds the format.
func New(opt Options) *Format {
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	return &Format{limits: Limits{Tarball: opt.MaxTarball}, clock: opt.Clock}
}

// Name is the format's word in configuration, paths and metrics.
func (*Format) Name() string { return "npm" }

// Owner is the scope of a name without its @.
func (*Format) Owner(pkg string) string {
	scope, _ := splitName(pkg)
	return scope
}

// Probe is the document that exists exactly when the package does.
func (f *Format) Probe(pkg string) formats.Document { return f.packument(pkg, false) }

// Parse turns a request into an operation and what it needs of policy.
func (f *Format) Parse(r *http.Request, path []string) (formats.Request, error) {
	t, err := Parse(r.Method, path, r.URL.Query(), r.Header)
	if err != nil {
		return formats.Request{}, err
	}
	return formats.Request{
		Op: string(t.Op), Action: action(t.Op, r.Header.Get("npm-command")), Package: t.Package, Detail: t,
		SignIn: t.Op == opLogin || t.Op == opLoginWeb || t.Op == opLoginPoll,
	}, nil
}

// action says what an operation needs. A PUT of a package document may be
// several things, told apart by its body only; the command that npm names in a
// header decides what is asked before the body is read, and the true action is
// asked for again with what the body says.
func action(op Op, command string) policy.Action {
	switch op {
	case opPut:
		if command == "star" || command == "unstar" {
			return policy.Self // any reader with an account
		}
		return policy.Publish
	case opPutRev:
		switch command {
		case "unpublish":
			return policy.Delete
		case "owner", "access":
			return policy.Settings
		}
		return policy.Publish
	case opTagSet, opTagsSet, opTagDelete:
		return policy.Publish
	case opDelete, opDeleteTarball:
		return policy.Delete
	case opAccess:
		return policy.Settings
	case opWhoami, opProfile, opTokens, opTokenCreate, opTokenDelete, opLogout, opUser,
		opUserPackages, opOrgPackages:
		return policy.Self
	case opRoot, opPing, opLogin, opLoginWeb, opLoginPoll:
		return policy.Open
	case opPackument, opManifest, opTarball, opTags, opSearch, opStarred, opAuditBulk, opAuditQuick, opKeys, opAttestations,
		opCollaborators, opVisibility:
		return policy.Read
	}
	if op.unavailable() || op == opTeamPackages || op == opTeamGrant || op == opTeamRevoke {
		return policy.Open
	}
	return "" // an operation that nobody has thought about is refused
}

// serving is one request being answered.
type serving struct {
	*Format
	*formats.Call
	w http.ResponseWriter
	r *http.Request
	t Target
}

// Serve answers a request that policy has allowed.
func (f *Format) Serve(w http.ResponseWriter, r *http.Request, call *formats.Call) error {
	t, ok := call.Request.Detail.(Target)
	if !ok {
		return formats.Refuse(formats.ErrBadRequest, "the request was not read as one of npm's")
	}
	s := &serving{Format: f, Call: call, w: w, r: r, t: t}
	if serve := s.reads(); serve != nil {
		return serve()
	}
	if serve := s.writes(); serve != nil {
		return serve()
	}
	if serve := s.accounts(); serve != nil {
		return serve()
	}
	return formats.Refuse(formats.ErrNotFound, "this registry does not offer "+r.URL.Path)
}

func (s *serving) reads() func() error {
	switch s.t.Op {
	case opPackument:
		return s.servePackument
	case opTarball:
		return s.serveTarball
	case opManifest:
		return s.serveManifest
	case opTags:
		return s.serveTags
	case opAttestations:
		return s.serveAttestations
	case opKeys:
		return s.serveKeys
	case opAuditBulk:
		return s.serveAuditBulk
	case opAuditQuick:
		return s.serveAuditQuick
	case opSearch:
		return s.serveSearch
	case opStarred:
		return s.serveStarred
	case opCollaborators:
		return s.serveCollaborators
	case opVisibility:
		return s.serveVisibility
	case opUserPackages, opOrgPackages:
		return s.servePackages
	case opRoot, opPing:
		return func() error { return s.json(http.StatusOK, []byte("{}")) }
	}
	return nil
}

func (s *serving) writes() func() error {
	switch s.t.Op {
	case opPut, opPutRev:
		return s.servePut
	case opDelete:
		return s.serveDelete
	case opDeleteTarball:
		return s.serveDeleteTarball
	case opTagSet, opTagsSet:
		return s.serveSetTags
	case opTagDelete:
		return s.serveDeleteTag
	case opAccess:
		return s.serveAccess
	}
	return nil
}

func (s *serving) accounts() func() error {
	switch s.t.Op {
	case opWhoami:
		return s.serveWhoami
	case opProfile:
		return s.serveProfile
	case opUser:
		return s.serveUser
	case opLogin:
		return s.serveLogin
	case opLoginWeb:
		return s.serveLoginWeb
	case opLoginPoll:
		return s.serveLoginPoll
	case opTokens:
		return s.serveTokens
	case opTokenCreate:
		return s.serveTokenCreate
	case opTokenDelete, opLogout:
		return s.serveRevoke
	}
	return nil
}

// json sends a small answer that nobody may keep.
func (s *serving) json(status int, body []byte) error {
	h := s.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	s.w.WriteHeader(status)
	if s.r.Method != http.MethodHead {
		// A client that is gone cannot be told so.
		_, _ = s.w.Write(body)
	}
	return nil
}

// Describe words a failure as {"error": sentence}, the field that npm prints.
// A 401 carries no challenge outside the login calls: with one, npm prints a
// hint about passwords in place of the sentence.
func (*Format) Describe(f *formats.Failure, h http.Header) []byte {
	h.Set("Content-Type", "application/json")
	if f.Challenge && (f.Request.Op == string(opLogin) || f.Request.Op == string(opLoginWeb)) {
		h.Set("WWW-Authenticate", `Basic realm="larder", Bearer`)
	}
	if f.Status == http.StatusMethodNotAllowed && h.Get("Allow") == "" {
		h.Set("Allow", "GET, HEAD") // of a registry that only mirrors
	}
	var b builder
	b.open()
	b.text("error", f.Sentence)
	if f.Status == http.StatusForbidden {
		b.text("reason", f.Sentence)
	}
	b.close()
	return b.out
}
