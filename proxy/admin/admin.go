package admin

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"time"

	"larder/cache"
	"larder/cache/evict"
	"larder/formats"
	"larder/policy"
	"larder/policy/directory"
	"larder/policy/token"
	"larder/proxy"
	"larder/proxy/admin/openapi"
	"larder/proxy/registry"
)

// Owners is what the API needs to know and change of users and organizations.
type Owners interface {
	Account(ctx context.Context, name string) (directory.Account, error)
	CreateUser(ctx context.Context, actor policy.Subject, a directory.Account) error
	Suspend(ctx context.Context, actor policy.Subject, name string) error
	Resume(ctx context.Context, actor policy.Subject, name string) error
	SetMember(ctx context.Context, actor policy.Subject, org, user string, m directory.Membership) error
	SetOrganization(ctx context.Context, actor policy.Subject, org string, set directory.OrgSettings) error
}

// Repositories is what the API needs to know and change of repositories.
type Repositories interface {
	Repository(ctx context.Context, name string) (directory.Repository, error)
	CreateRepository(ctx context.Context, actor policy.Subject, full string, v policy.Visibility) error
	SetRepository(ctx context.Context, actor policy.Subject, full string, set directory.RepositorySettings) error
	// Grant gives a user, or "@" and the name of a team of the owner, a role.
	Grant(ctx context.Context, actor policy.Subject, full, grantee string, role policy.Role) error
	// GrantPackage is Grant for a package that has grants of its own.
	GrantPackage(ctx context.Context, actor policy.Subject, res policy.Resource, grantee string, role policy.Role) error
	Role(ctx context.Context, user string, res policy.Resource) (policy.Role, error)
}

// Teams is what the API needs to know and change of teams.
type Teams interface {
	Team(ctx context.Context, org, name string) (directory.Team, error)
	CreateTeam(ctx context.Context, actor policy.Subject, org, name string) (directory.Team, error)
	DeleteTeam(ctx context.Context, actor policy.Subject, org, name string) error
	SetTeamMember(ctx context.Context, actor policy.Subject, m directory.TeamMember, in bool) error
}

// Lists yields what there is, by name and behind the one given, whoever asks.
type Lists interface {
	Accounts(ctx context.Context, after string) iter.Seq2[directory.Account, error]
	Repositories(ctx context.Context, owner, after string) iter.Seq2[directory.Repository, error]
	Members(ctx context.Context, org, after string) iter.Seq2[directory.OrgMember, error]
	Teams(ctx context.Context, org, after string) iter.Seq2[directory.Team, error]
	TeamMembers(ctx context.Context, t directory.Team, after string) iter.Seq2[string, error]
	Grants(ctx context.Context, res policy.Resource, after string) iter.Seq2[directory.Granted, error]
}

// Claims is what the API needs to know and change of claims.
type Claims interface {
	Claims(ctx context.Context, actor policy.Subject) ([]policy.Claim, error)
	AddClaim(ctx context.Context, actor policy.Subject, c policy.Claim) (policy.Claim, error)
	RemoveClaim(ctx context.Context, actor policy.Subject, id string) error
}

// Tokens is what the API needs to know and change of tokens.
type Tokens interface {
	Tokens(ctx context.Context, actor policy.Subject, user string) ([]directory.Token, error)
	MintToken(ctx context.Context, actor policy.Subject, m directory.Mint) (token.Secret, directory.Token, error)
	RevokeToken(ctx context.Context, actor policy.Subject, id string) error
}

// Directory is everything about people and rights; directory.Directory is the
// real one.
type Directory interface {
	proxy.Authorizer
	Owners
	Repositories
	Teams
	Lists
	Claims
	Tokens
}

// Maintenance is the work on the store; each may take long and is stopped by
// its context. progress hears how far it is, often.
type Maintenance interface {
	// GC deletes what nobody needs any more, or with dry says what that would be.
	GC(ctx context.Context, dry bool, progress func(looked int)) (evict.Report, error)
	// Retain lets the rules of retention act, or with dry tells what they would do.
	Retain(ctx context.Context, dry bool) (Retention, error)
	// Verify compares bytes and records; repair drops damaged cached files.
	Verify(ctx context.Context, repair bool, progress func(done, total int64)) (Verification, error)
}

// Retention is what the rules of retention did.
type Retention struct {
	Versions int      `json:"versions" doc:"Versions without a tag that were deleted; they can be restored for a while."`
	Bytes    int64    `json:"bytes" doc:"Bytes of their own files; what they alone used goes in its time."`
	Named    []string `json:"named,omitempty" doc:"Package and version, the first hundred of each registry."`
}

// Verification is what Verify found.
type Verification struct {
	Blobs    int64    `json:"blobs" doc:"Blobs looked at."`
	Bytes    int64    `json:"bytes" doc:"Bytes hashed."`
	Hosted   int64    `json:"hosted_damaged" doc:"Hosted blobs that are damaged or missing."`
	Cached   int64    `json:"cached_damaged" doc:"Cached blobs that are damaged or missing; they can be fetched again."`
	Repaired int64    `json:"repaired" doc:"Damaged cached blobs that were dropped."`
	Findings []string `json:"findings,omitempty" doc:"Sentences for people, the first hundred or so."`
}

// Registry is a configured registry, as explanations name it.
type Registry struct {
	Mount proxy.Mount
	// Path is where clients find it, with slashes at both ends; "" is /NAME/.
	Path      string
	Hosted    bool
	Upstreams []string // ids
	// Explain asks the rules about a package; nil where there are none.
	Explain func(ctx context.Context, pkg, version string) (*registry.Explanation, error)
	// Empty is the same as if nothing were published to it: Mount and Explain of it
	// answer those from whom a name is hidden. nil: nothing is.
	Empty *Registry
	// Used tells what was used lately; see registry.Registry. nil: nobody knows.
	Used func(ctx context.Context, who policy.Subject, since time.Time, after string) iter.Seq2[registry.Used, error]
	// ResetOrigin forgets where a name came from; see registry.Registry.
	ResetOrigin func(ctx context.Context, actor policy.Subject, pkg string, dry bool) (*registry.OriginReset, error)
	// Approve notes when versions were first seen; see registry.Registry.
	Approve func(ctx context.Context, a registry.Approval, list []registry.Known) (int, error)
}

// url is its address below an origin.
func (r Registry) url(origin string) string {
	if r.Path != "" {
		return origin + r.Path
	}
	return origin + "/" + r.Mount.Name() + "/"
}

// Upstream is how an upstream does. URL holds no credential.
type Upstream struct {
	ID          string    `json:"id" doc:"Name in the configuration."`
	Format      string    `json:"format" doc:"Format, such as npm."`
	URL         string    `json:"url,omitempty" doc:"Address, without a credential."`
	Source      string    `json:"source,omitempty" doc:"Where the address was found."`
	State       string    `json:"state" doc:"How it does."`
	LastSuccess time.Time `json:"last_success,omitzero" doc:"When it answered last."`
	LastFailure time.Time `json:"last_failure,omitzero" doc:"When it failed last."`
	LastError   string    `json:"last_error,omitempty" doc:"How it failed last."`
	Requests    int64     `json:"requests" doc:"Requests since the start."`
	Failures    int64     `json:"failures" doc:"Requests that failed since the start."`
	Note        string    `json:"note,omitempty" doc:"What an operator should know."`
}

// Options are the parts that New needs; all but Failed, Clock and Ready.
type Options struct {
	Directory   Directory
	Identifier  proxy.Identifier
	Pairing     formats.Pairing
	Registries  []Registry
	Maintenance Maintenance
	Rules       Rules
	Audit       cache.Index // that holds the audit log
	Upstreams   func(ctx context.Context) []Upstream
	// Reload reads the configuration again; on an error the old one holds.
	Reload  func(ctx context.Context) error
	Metrics *Metrics
	// Ready returns nil while the store and the index can be used. It is asked
	// at most once a second.
	Ready func(ctx context.Context) error
	// Draining is closed when the server begins to end; nil: never.
	Draining <-chan struct{}
	// Failed hears of errors that are ours, with the id of the request. It may be nil.
	Failed func(requestID string, err error)
	Clock  func() time.Time // nil: time.Now
}

// New checks the options and returns the handlers by first path segment: what
// proxy.Options.Handlers takes.
func New(o Options) (map[string]http.Handler, error) {
	if o.Directory == nil || o.Identifier == nil || o.Pairing == nil || o.Maintenance == nil || o.Audit == nil || o.Rules == nil ||
		o.Upstreams == nil || o.Reload == nil || o.Metrics == nil {
		return nil, errors.New("admin: a part is missing")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Failed == nil {
		o.Failed = func(string, error) {}
	}
	if o.Ready == nil {
		o.Ready = func(context.Context) error { return nil }
	}
	a := newAPI(o)
	router, err := newRouter(a, apiRoutes())
	if err != nil {
		return nil, err
	}
	return map[string]http.Handler{
		"api":     router,
		"ui":      newPages(a, pageRoutes()),
		"healthz": a.probe(a.alive),
		"readyz":  a.probe((&readiness{api: a}).answer),
		"metrics": a.probe(o.Metrics.serve),
	}, nil
}

// api is what all handlers share. It does not change once the router is made.
type api struct {
	Options
	types    openapi.Types // of bodies
	document openapi.Document
	encoded  []byte // the document, without the address of this server
}

func newAPI(o Options) *api { return &api{Options: o, types: apiTypes()} }
