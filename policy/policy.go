// Package policy decides who may do what. It is pure: no clock, no network, no
// HTTP, no storage. The edge asks it once before every read and write, and the
// engine asks again with the name found inside a body.
//
// Allowed means: scope ∩ role ∩ the token's own limits. A scope never raises a
// role and a role never widens a scope.
package policy

import (
	"errors"
	"fmt"
	"time"
)

// Errors that a refusal unwraps to. The edge turns them into 401, 404 and 403.
var (
	// ErrUnauthenticated asks for a credential, or says that the one given is no good.
	ErrUnauthenticated = errors.New("authentication required")
	// ErrNotSignedIn is ErrUnauthenticated for those who have not tried: clients
	// ask in this way how to sign in, and nobody was refused anything.
	ErrNotSignedIn = fmt.Errorf("not signed in: %w", ErrUnauthenticated)
	// ErrHidden refuses a read so that it cannot be told from a missing name.
	ErrHidden = errors.New("not found")
	// ErrDenied refuses a caller who may know that the thing exists.
	ErrDenied = errors.New("permission denied")
)

// Action is what a request wants to do with a resource.
type Action string

// The actions of the route tables. Every route names one.
const (
	// Open needs nothing at all: ping, login, static facts of the service.
	Open Action = "open"
	// Self needs a valid credential and concerns the caller's own account.
	Self Action = "self"
	// Read downloads, lists and looks at metadata.
	Read Action = "read"
	// Publish adds a version, moves a tag, deprecates.
	Publish Action = "publish"
	// Delete removes a version or a package.
	Delete Action = "delete"
	// Restore brings a deleted version back.
	Restore Action = "restore"
	// Settings changes grants, visibility, owners of a package or repository.
	Settings Action = "settings"
	// Organize changes members, teams and settings of an organization.
	Organize Action = "organize"
	// Administer changes users, policy, upstreams, and runs maintenance.
	Administer Action = "administer"
)

// Scope is one right that a token carries.
type Scope string

// The scopes of tokens.
const (
	ReadPackages   Scope = "read:packages"
	WritePackages  Scope = "write:packages" // implies ReadPackages
	DeletePackages Scope = "delete:packages"
	Repo           Scope = "repo"
	AdminOrg       Scope = "admin:org"
	AdminInstance  Scope = "admin:instance"
)

// Role is what a user may do in a repository. Roles are ordered.
type Role uint8

// The roles, weakest first.
const (
	RoleNone Role = iota
	RoleRead
	RoleWrite
	RoleAdmin
)

// Visibility says who may read a repository without a grant.
type Visibility string

// The visibilities.
const (
	Public   Visibility = "public"   // everyone
	Internal Visibility = "internal" // members of the organization that owns it
	Private  Visibility = "private"  // grants only
)

// Subject is who asks: the anonymous (zero value), or a user by one token.
// Roles are not in it: they are looked up per decision.
type Subject struct {
	User    string // user name; "" is the anonymous
	TokenID string
	// TokenKind is the prefix of the token, TokenLast4 its last four characters,
	// by which its owner knows it.
	TokenKind  string
	TokenLast4 string
	Scopes     []Scope
	Limits     Limits
	// Admin says that the user is an administrator of the instance.
	Admin bool
	// Guest says that nobody signed in, but asked the token service first.
	Guest bool
	// Grants narrow the token to what it was made for; nil: it is not narrowed.
	Grants *Grants
}

// Anonymous reports whether nobody signed in.
func (s Subject) Anonymous() bool { return s.User == "" }

// Limits narrow a token; an empty list does not limit.
type Limits struct {
	Owners       []string `json:"owners,omitempty" max:"100" doc:"Only what belongs to these users and organizations."`
	Repositories []string `json:"repositories,omitempty" max:"100" doc:"Only these repositories, OWNER/NAME."`
	Packages     []string `json:"packages,omitempty" max:"100" doc:"Only packages whose names these patterns cover."`
	Formats      []string `json:"formats,omitempty" max:"100" doc:"Only these formats."`
	CIDRs        []string `json:"cidrs,omitempty" max:"100" doc:"Only from these addresses, such as 192.0.2.0/24."`
}

// Resource is what is asked for. Format, Registry and Package come from the
// request; the rest is filled in by whoever resolves the name.
type Resource struct {
	Format   string
	Registry string
	Package  string // "" concerns the registry as a whole
	// Alias is another name by which clients know the package, "" for none.
	Alias   string
	Version string
	// Repository is "owner/name" of the repository that holds the package or
	// would hold it by a claim; "" when the name is not ours.
	Repository string
	Visibility Visibility // of the package; of the repository when there is no package yet
	// Access is the id of the grants that a package has of its own, "" for one
	// that takes those of its repository.
	Access string
	// Claim is the id of the claim that covers the name, "" for none.
	Claim string
	// Hosted says that the package exists here.
	Hosted bool
	// RepositoryScoped formats need the scope Repo for writes (Maven, Gradle).
	RepositoryScoped bool
}

// Verdict is the outcome of a decision.
type Verdict uint8

// The verdicts. The zero value refuses.
const (
	Deny      Verdict = iota // 403
	Hide                     // 404, as if missing
	Challenge                // 401
	Allow
)

// String returns the word of logs and metrics.
func (v Verdict) String() string {
	switch v {
	case Allow:
		return "allow"
	case Challenge:
		return "challenge"
	case Hide:
		return "hide"
	}
	return "deny"
}

// Decision is a verdict with what the caller is told.
type Decision struct {
	Verdict Verdict
	// Reason is one sentence for the person who asked: what is missing and what to do.
	Reason string
	// Rule is the id of the rule that refused, "" for roles and scopes.
	Rule string
	// Opens is when the refusal ends by itself; zero: never.
	Opens time.Time
	// Version is the one that the rule refused, and Newest the newest that the
	// rules leave; "" where that is not known.
	Version, Newest string
	// Accepted lists the scopes of which one would have sufficed.
	Accepted []Scope
	// Needs is the role that was missing, RoleNone where that was not the cause.
	Needs Role
	// Limited says that the token's own limits shut the thing out.
	Limited bool
	// Narrow says that the caller's own rights suffice, and the token was made for
	// something else.
	Narrow bool
	// TokenID is the token that is no good any more; "" where there never was one.
	TokenID string
}

// Err returns nil for Allow, and otherwise a *Refusal.
func (d Decision) Err() error {
	if d.Verdict == Allow {
		return nil
	}
	return &Refusal{d}
}

// Refusal is a Decision as an error. It unwraps to ErrUnauthenticated,
// ErrHidden or ErrDenied.
type Refusal struct{ Decision Decision }

// Error returns the reason, or the kind of refusal where no reason may be told.
func (r *Refusal) Error() string {
	if r.Decision.Reason != "" {
		return r.Decision.Reason
	}
	return r.Unwrap().Error()
}

// Unwrap returns the sentinel of the verdict.
func (r *Refusal) Unwrap() error {
	switch r.Decision.Verdict {
	case Hide:
		return ErrHidden
	case Challenge:
		return ErrUnauthenticated
	default:
		return ErrDenied
	}
}
