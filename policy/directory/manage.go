package directory

import (
	"context"

	"larder/cache"
	"larder/policy"
	"larder/policy/audit"
)

// Membership of an organization.
type Membership string

// The memberships.
const (
	Owner  Membership = "owner"
	Member Membership = "member"
)

// firstRepository is made with every owner.
const firstRepository = "packages"

// may checks the actor's authority over an owner or a repository. Who lacks it
// is refused whether or not the thing exists.
func (d *Directory) may(ctx context.Context, actor policy.Subject, a policy.Action, where string) error {
	in := policy.Input{Subject: actor, Action: a, Resource: policy.Resource{Repository: where}}
	if !actor.Anonymous() {
		s, err := d.standing(ctx, place{user: actor.User, where: where})
		if err != nil {
			return err
		}
		in.Standing = s.Standing
		if a == policy.Settings && s.Owner {
			// Of what does not exist yet, the owner decides.
			in.Standing.Role = policy.RoleAdmin
		}
	}
	return policy.Decide(in).Err()
}

// CreateUser makes a user or an organization, and its private repository
// "packages". The creator of an organization is its owner. For administrators.
// Errors: ErrInvalid, ErrExists.
func (d *Directory) CreateUser(ctx context.Context, actor policy.Subject, a Account) error {
	if err := policy.MustAdminister(actor); err != nil {
		return err
	}
	if err := checkAccountName(a.Name); err != nil {
		return err
	}
	if a.Org && a.Admin {
		return fail(ErrInvalid, "the organization %s cannot be an administrator: only users can", a.Name)
	}
	if len(a.Email) > 254 {
		return fail(ErrInvalid, "the email address of %s is longer than 254 bytes", a.Name)
	}
	a.Created, a.Suspended = d.now().UTC(), false
	if a.Org && a.BaseRole == policy.RoleNone {
		a.BaseRole = policy.RoleRead
	}
	return d.changeOf(ctx, touched{owner: a.Name}, "create "+a.Name, func(w cache.Writer) error {
		taken, err := has(w, accountKey(a.Name))
		if err != nil {
			return err
		}
		if taken {
			return fail(ErrExists, "the name %s is taken: users and organizations share their names", a.Name)
		}
		if a.Org {
			if err := put(w, memberKey(a.Name, actor.User), Owner); err != nil {
				return err
			}
		}
		if err := putOwner(w, a, policy.Private); err != nil {
			return err
		}
		action := "user.create"
		if a.Org {
			action = "org.create"
		}
		return d.record(ctx, w, actor, audit.Record{Action: action, Resource: audit.Resource{Owner: a.Name}})
	})
}

// putOwner stores an account with its first repository.
func putOwner(w cache.Writer, a Account, v policy.Visibility) error {
	if err := put(w, accountKey(a.Name), a); err != nil {
		return err
	}
	r := Repository{Owner: a.Name, Name: firstRepository, Visibility: v, Created: a.Created}
	return put(w, repositoryKey(a.Name, firstRepository), r)
}

// Suspend takes all rights from a user, as if his tokens were invalid. For
// administrators, who cannot suspend themselves. Errors: cache.ErrNotExist,
// ErrConflict.
func (d *Directory) Suspend(ctx context.Context, actor policy.Subject, name string) error {
	if err := policy.MustAdminister(actor); err != nil {
		return err
	}
	if name == actor.User {
		return fail(ErrConflict, "%s cannot suspend the own account: ask another administrator", name)
	}
	return d.changeOf(ctx, touched{owner: name}, "suspend "+name, func(w cache.Writer) error {
		self, err := needAccount(w, actor.User, false)
		if err != nil {
			return err
		}
		if self.Suspended || !self.Admin {
			// Two who suspend each other at once would leave nobody.
			return refuse(policy.Deny, "%s is no administrator any more: ask one", actor.User)
		}
		if err := amend(w, name, false, func(a *Account) { a.Suspended = true }); err != nil {
			return err
		}
		return d.record(ctx, w, actor, audit.Record{Action: "user.suspend", Resource: audit.Resource{Owner: name}})
	})
}

// Resume gives a suspended user all rights back. For administrators. Errors:
// cache.ErrNotExist.
func (d *Directory) Resume(ctx context.Context, actor policy.Subject, name string) error {
	if err := policy.MustAdminister(actor); err != nil {
		return err
	}
	return d.changeOf(ctx, touched{owner: name}, "resume "+name, func(w cache.Writer) error {
		if err := amend(w, name, false, func(a *Account) { a.Suspended = false }); err != nil {
			return err
		}
		return d.record(ctx, w, actor, audit.Record{Action: "user.resume", Resource: audit.Resource{Owner: name}})
	})
}

// amend changes a user, or an organization where org is set.
func amend(w cache.Writer, name string, org bool, fn func(*Account)) error {
	a, err := needAccount(w, name, org)
	if err != nil {
		return err
	}
	fn(&a)
	return put(w, accountKey(name), a)
}

// needAccount reads a user, or an organization where org is set.
func needAccount(r cache.Reader, name string, org bool) (Account, error) {
	what := "user"
	if org {
		what = "organization"
	}
	if !accountName.MatchString(name) {
		return Account{}, missing(what, name)
	}
	var a Account
	ok, err := get(r, accountKey(name), &a)
	if err != nil {
		return a, err
	}
	if !ok || a.Org != org {
		return a, missing(what, name)
	}
	return a, nil
}

func readMembership(r cache.Reader, org, user string) (m Membership, err error) {
	_, err = get(r, memberKey(org, user), &m)
	return m, err
}

// SetMember makes a user owner or member of an organization; "" ends the
// membership. For its owners. Errors: cache.ErrNotExist, ErrInvalid, and
// ErrConflict for the last owner.
func (d *Directory) SetMember(ctx context.Context, actor policy.Subject, org, user string, m Membership) error {
	if err := d.may(ctx, actor, policy.Organize, org); err != nil {
		return err
	}
	if m != Owner && m != Member && m != "" {
		return fail(ErrInvalid, "membership %.40q is not known: use owner or member", string(m))
	}
	return d.changeOf(ctx, touched{user, org}, "set member "+user+" of "+org, func(w cache.Writer) error {
		if _, err := needAccount(w, org, true); err != nil {
			return err
		}
		if _, err := needAccount(w, user, false); err != nil {
			return err
		}
		if err := keepOwner(w, org, user, m); err != nil {
			return err
		}
		return d.putMember(ctx, w, actor, member{org, user, m})
	})
}

// member is one membership; role "" ends it.
type member struct {
	org, user string
	role      Membership
}

// putMember stores and records a membership.
func (d *Directory) putMember(ctx context.Context, w cache.Writer, actor policy.Subject, m member) error {
	old, err := readMembership(w, m.org, m.user)
	if err != nil {
		return err
	}
	r := audit.Record{Action: "member.set", Resource: audit.Resource{Owner: m.org, ID: m.user}, Before: audit.State{}}
	if old != "" {
		r.Before["role"] = string(old)
	}
	if m.role == "" {
		r.Action = "member.remove"
		err = removeMember(w, m, r.Before)
	} else {
		r.After = audit.State{"role": string(m.role)}
		err = put(w, memberKey(m.org, m.user), m.role)
	}
	if err != nil {
		return err
	}
	return d.record(ctx, w, actor, r)
}

// removeMember ends a membership and all that hangs on it; what ended goes
// into the record.
func removeMember(w cache.Writer, m member, before audit.State) error {
	teams, err := leaveTeams(w, m.org, m.user)
	if err != nil {
		return err
	}
	if teams != "" {
		before["teams"] = teams
	}
	return w.Delete(memberKey(m.org, m.user))
}

// keepOwner refuses to take the last owner from an organization who can act.
func keepOwner(r cache.Reader, org, user string, m Membership) error {
	old, err := readMembership(r, org, user)
	if err != nil || old != Owner || m == Owner {
		return err
	}
	all := memberKey(org, "")
	for row, err := range r.Scan(all, nil) {
		if err != nil {
			return err
		}
		var other Membership
		if err := decode(row.Value, &other); err != nil {
			return err
		}
		name := string(row.Key[len(all):])
		if other != Owner || name == user {
			continue
		}
		if owner, err := needAccount(r, name, false); err != nil || !owner.Suspended {
			return err
		}
	}
	return fail(ErrConflict, "%s is the last owner of %s: name another one first", user, org)
}
