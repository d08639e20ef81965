package directory

import (
	"context"
	"strings"

	"larder/cache"
	"larder/policy"
	"larder/policy/audit"
)

// teamMark stands before what names a team where a user may be named too.
const teamMark = "@"

// Grant gives a user, or "@" and the name of a team of the repository's owner, a
// role in a repository; RoleNone takes the grant back. For the repository's
// admins. Errors: cache.ErrNotExist, ErrInvalid, ErrConflict for a team where
// the owner is a user.
func (d *Directory) Grant(ctx context.Context, actor policy.Subject, full, grantee string, role policy.Role) error {
	if role > policy.RoleAdmin {
		return fail(ErrInvalid, "role %d is not known", role)
	}
	if err := d.mayIn(ctx, actor, full); err != nil {
		return err
	}
	return d.changeOf(ctx, concerns(grantee, full), "grant "+grantee+" a role in "+full, func(w cache.Writer) error {
		r, err := needRepository(w, full)
		if err != nil {
			return err
		}
		to, err := needGrantee(w, r.Owner, grantee)
		if err != nil {
			return err
		}
		return d.putGrant(ctx, w, actor, grant{to, audit.Resource{Repository: full}, grantKey(r.Owner, r.Name, to.key), role})
	})
}

// concerns is what a grant in a repository touches.
func concerns(grantee, full string) touched {
	t := ofRepository(full)
	if !strings.HasPrefix(grantee, teamMark) {
		t.user = grantee // and else whoever is in the team
	}
	return t
}

func ofRepository(full string) touched {
	owner, _, _ := strings.Cut(full, "/")
	return touched{owner: owner}
}

// grantee is who a grant is for.
type grantee struct {
	name string // as people write it
	key  string // as rows name it
	org  string // of a team
	id   string // of a team, "" for a user
}

// needGrantee finds a user, or a team of the owner. Errors: cache.ErrNotExist,
// ErrConflict.
func needGrantee(r cache.Reader, owner, name string) (grantee, error) {
	team, is := strings.CutPrefix(name, teamMark)
	if !is {
		_, err := needAccount(r, name, false)
		return grantee{name: name, key: name}, err
	}
	var a Account
	if ok, err := get(r, accountKey(owner), &a); err != nil || !ok || !a.Org {
		return grantee{}, orConflict(err, "%s is no organization and has no teams: grant to users", owner)
	}
	t, err := needTeam(r, owner, team)
	return grantee{name: name, key: teamMark + t.ID, org: owner, id: t.ID}, err
}

// grant is one grant; RoleNone takes it back.
type grant struct {
	to   grantee
	on   audit.Resource
	key  []byte
	role policy.Role
}

// putGrant stores and records a grant.
func (d *Directory) putGrant(ctx context.Context, w cache.Writer, actor policy.Subject, g grant) error {
	var old policy.Role
	if _, err := get(w, g.key, &old); err != nil {
		return err
	}
	g.on.ID = g.to.name
	r := audit.Record{Action: "grant.set", Resource: g.on, Before: roleState(old), After: roleState(g.role)}
	store := func(k []byte, v any) error { return put(w, k, v) }
	if g.role == policy.RoleNone {
		r.Action, store = "grant.remove", func(k []byte, _ any) error { return w.Delete(k) }
	}
	if err := store(g.key, g.role); err != nil {
		return err
	}
	if g.to.id != "" {
		if err := store(teamGrantKey(g.to.org, g.to.id, g.key), struct{}{}); err != nil {
			return err
		}
	}
	return d.record(ctx, w, actor, r)
}
