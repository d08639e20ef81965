package policy

// Standing is where a user stands towards the repository of a resource. All of
// it is looked up per decision, so that a role taken away is gone at once.
type Standing struct {
	Role Role // by ownership, membership and grants, without what visibility adds
	// Member of the organization that owns the repository: may read what is internal.
	Member bool
	// Owner of the organization, or the user who is the owner.
	Owner bool
}

// Input is all that a decision depends on.
type Input struct {
	Subject  Subject
	Standing Standing
	Action   Action
	Resource Resource
	// AnonymousRead lets everyone read what is public; false asks for a
	// credential first.
	AnonymousRead bool
}

// Decide says whether the action is allowed. Reads hide what the caller may not
// know of; writes refuse whether or not the thing exists, in words that do not
// tell. An action it does not know is refused. A token that was made for
// something else is told so only where it would be allowed otherwise. It
// allocates only to word a refusal.
func Decide(in Input) Decision {
	d := decide(in)
	if g := in.Subject.Grants; g != nil && d.Verdict == Allow && in.Action != Open && !g.allow(in.Resource, in.Action) {
		return narrowed()
	}
	return d
}

func decide(in Input) Decision {
	switch in.Action {
	case Open:
		return Decision{Verdict: Allow}
	case Read:
		return decideRead(in)
	case Self, Publish, Delete, Restore, Settings, Organize, Administer:
	default:
		return deny("this request has no action that policy knows, so it is refused")
	}
	if in.Subject.Anonymous() {
		return Decision{Verdict: Challenge, Reason: "this needs a credential: " + signIn}
	}
	switch in.Action {
	case Self:
		return Decision{Verdict: Allow}
	case Organize:
		return decideOrganize(in)
	case Administer:
		return decideAdminister(in)
	}
	return decideWrite(in)
}

const signIn = "sign in, or send a valid token"

func deny(reason string) Decision { return Decision{Verdict: Deny, Reason: reason} }

func limited(reason string) Decision {
	return Decision{Verdict: Deny, Reason: reason, Limited: true}
}

// public reports whether a resource is readable by everyone. A name that is
// not ours is what an upstream shows to everyone; anything else that has no
// visibility is private.
func (r Resource) public() bool {
	if r.Visibility == "" {
		return r.Repository == "" && r.Claim == "" && !r.Hosted
	}
	return r.Visibility == Public
}

// decideRead: what is public needs neither scope nor role, so that a valid
// token never sees less than the anonymous do.
func decideRead(in Input) Decision {
	s, res := in.Subject, in.Resource
	public := res.public()
	switch {
	case s.Anonymous() && public && in.AnonymousRead:
		return Decision{Verdict: Allow}
	case s.Anonymous():
		return Decision{Verdict: Challenge, Reason: "reading this needs a credential: " + signIn}
	case public:
		return Decision{Verdict: Allow}
	case in.readRole() < RoleRead:
		return Decision{Verdict: Hide, Needs: RoleRead}
	case !s.Limits.cover(res):
		return Decision{Verdict: Hide, Limited: true}
	case !Holds(s.Scopes, ReadPackages):
		return lacksScope("read", res, ReadPackages, ReadPackages, WritePackages)
	}
	return Decision{Verdict: Allow}
}

// readRole is the role with what visibility adds to it.
func (in Input) readRole() Role {
	r := in.Resource
	if in.Standing.Role == RoleNone && (r.public() || r.Visibility == Internal && in.Standing.Member) {
		return RoleRead
	}
	return in.Standing.Role
}

// need is what a write asks for beside the scope Repo. All scopes must be held.
type need struct {
	verb   string
	role   Role
	scopes [2]Scope // "" for none
}

// needOf holds the line above the matrix of policy.md section 4.
func needOf(a Action) need {
	switch a {
	case Publish:
		return need{"publish", RoleWrite, [2]Scope{WritePackages}}
	case Delete:
		return need{"delete", RoleAdmin, [2]Scope{DeletePackages, ReadPackages}}
	case Restore:
		return need{"restore", RoleAdmin, [2]Scope{WritePackages, ReadPackages}}
	}
	return need{"change the settings of", RoleAdmin, [2]Scope{WritePackages}}
}

// decideWrite asks for scopes first: what it says then depends on the token
// alone, and not on what exists.
func decideWrite(in Input) Decision {
	n, s, res := needOf(in.Action), in.Subject, in.Resource
	for _, scope := range n.scopes {
		if scope != "" && !Holds(s.Scopes, scope) {
			return lacksScope(n.verb, res, scope, accepted(scope)...)
		}
	}
	if res.RepositoryScoped && !Holds(s.Scopes, Repo) {
		return lacksScope(n.verb, res, Repo, Repo)
	}
	covered, able := s.Limits.cover(res), res.Repository != "" && in.Standing.Role >= n.role
	switch {
	case covered && able:
		return Decision{Verdict: Allow}
	case s.Limits.resources() && !(covered && in.seen()):
		d := limited("this token may not " + n.verb + " " + res.title() + ": it is limited to other owners, repositories, packages or formats, or " +
			s.User + " lacks the role " + n.role.String() + " there; use a token without that limit, or ask for a grant")
		if d.Limited = !covered; !able {
			d.Needs = n.role
		}
		return d
	}
	return lacksRole(n, in)
}

// seen reports whether the caller's roles let a resource be known to them.
func (in Input) seen() bool {
	return in.Resource.Package == "" || in.Resource.Hosted && in.readRole() >= RoleRead
}

// lacksRole names the repository to those who have a role in it anyway, except
// that of a package which is not there: where it would go says so.
func lacksRole(n need, in Input) Decision {
	where := "its repository"
	switch known := in.Standing.Role > RoleNone && (in.Resource.Hosted || in.Resource.Package == ""); {
	case known && in.Resource.Access != "":
		where = "the package itself"
	case known:
		where = "the repository " + in.Resource.Repository
	}
	return Decision{Verdict: Deny, Needs: n.role,
		Reason: in.Subject.User + " may not " + n.verb + " " + in.Resource.title() + ": this needs the role " +
			n.role.String() + " in " + where + "; ask an owner of it for a grant"}
}

func accepted(scope Scope) []Scope {
	if scope == ReadPackages {
		return []Scope{ReadPackages, WritePackages}
	}
	return []Scope{scope}
}

func lacksScope(verb string, res Resource, scope Scope, accepted ...Scope) Decision {
	return Decision{
		Verdict: Deny, Accepted: accepted,
		Reason: "this token may not " + verb + " " + res.title() + ": it lacks the scope " + string(scope) +
			"; use a token that has it",
	}
}

// title names what was asked for in the caller's own words.
func (r Resource) title() string {
	if r.Package == "" {
		return "packages here"
	}
	if r.Version == "" {
		return r.Package
	}
	return r.Package + " " + r.Version
}

func decideOrganize(in Input) Decision {
	s := in.Subject
	switch {
	case !Holds(s.Scopes, AdminOrg):
		return Decision{Verdict: Deny, Accepted: []Scope{AdminOrg},
			Reason: "this token may not manage organizations: it lacks the scope admin:org; use a token that has it"}
	case s.Limits.resources() && !s.Limits.organizes(in.Resource):
		return limited("this token is limited to certain owners or packages: managing this organization needs one without that limit")
	case !in.Standing.Owner:
		return deny(s.User + " is no owner of this organization: ask one of its owners")
	}
	return Decision{Verdict: Allow}
}

// organizes: a token limited to whole owners may manage those; one limited to
// anything smaller manages none.
func (l Limits) organizes(res Resource) bool {
	return len(l.Repositories)+len(l.Packages)+len(l.Formats) == 0 && l.cover(res)
}

// MustAdminister returns the refusal of whoever may not administer the instance.
func MustAdminister(s Subject) error {
	return Decide(Input{Subject: s, Action: Administer}).Err()
}

func decideAdminister(in Input) Decision {
	s := in.Subject
	switch {
	case !Holds(s.Scopes, AdminInstance):
		return Decision{Verdict: Deny, Accepted: []Scope{AdminInstance},
			Reason: "this token may not administer the server: it lacks the scope admin:instance; use a token that has it"}
	case s.Limits.resources():
		return limited("this token is limited to certain owners or packages: administering the server needs one without limits")
	case !s.Admin:
		return deny(s.User + " is no administrator of this server: ask one")
	}
	return Decision{Verdict: Allow}
}
