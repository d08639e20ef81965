package directory

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"larder/cache"
	"larder/policy"
	"larder/policy/audit"
)

// Limits of teams.
const (
	// MaxTeams is how many teams an organization may have.
	MaxTeams = 1000
	// MaxTeamsOfMember is how many teams of one organization a member may be in:
	// a decision reads no more grants than that.
	MaxTeamsOfMember = 50
)

// Team is a group of members of an organization, to be granted roles as one.
type Team struct {
	Org  string `json:"org"`
	Name string `json:"name"`
	// ID is random. Grants and memberships name it, so that a team made under the
	// name of one that was deleted inherits nothing.
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
}

// TeamMember is a user in a team of an organization.
type TeamMember struct{ Org, Team, User string }

// CreateTeam makes a team without members. For the organization's owners.
// Errors: ErrInvalid, ErrExists, ErrConflict beyond MaxTeams, cache.ErrNotExist.
func (d *Directory) CreateTeam(ctx context.Context, actor policy.Subject, org, name string) (Team, error) {
	if err := d.may(ctx, actor, policy.Organize, org); err != nil {
		return Team{}, err
	}
	if !accountName.MatchString(name) {
		return Team{}, fail(ErrInvalid, "the name %.80q cannot be a team: use up to 64 of a-z, 0-9 and dashes, beginning with a letter or digit", name)
	}
	id, err := newID()
	if err != nil {
		return Team{}, err
	}
	t := Team{Org: org, Name: name, ID: id, Created: d.now().UTC()}
	return t, d.changeOf(ctx, touched{owner: org}, "create team "+name+" of "+org, func(w cache.Writer) error {
		if _, err := needAccount(w, org, true); err != nil {
			return err
		}
		taken, err := has(w, teamKey(org, name))
		if err != nil {
			return err
		}
		if taken {
			return fail(ErrExists, "%s has a team %s already", org, name)
		}
		if n, err := count(w, teamKey(org, ""), MaxTeams); err != nil || n == MaxTeams {
			return orConflict(err, "%s has %d teams, which is the limit: delete some first", org, n)
		}
		if err := put(w, teamKey(org, name), t); err != nil {
			return err
		}
		if err := put(w, teamIDKey(org, id), name); err != nil {
			return err
		}
		return d.record(ctx, w, actor, teamRecord("team.create", t))
	})
}

func teamRecord(action string, t Team) audit.Record {
	return audit.Record{Action: action, Resource: audit.Resource{Owner: t.Org, ID: t.Name}, After: audit.State{"id": t.ID}}
}

// count returns how many rows lie below prefix, at most that many.
func count(r cache.Reader, prefix []byte, most int) (n int, err error) {
	for _, err := range r.Scan(prefix, nil) {
		if err != nil {
			return n, err
		}
		if n++; n == most {
			break
		}
	}
	return n, nil
}

func orConflict(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return fail(ErrConflict, format, args...)
}

// Team returns a team. Errors: cache.ErrNotExist.
func (d *Directory) Team(ctx context.Context, org, name string) (t Team, err error) {
	err = d.index.View(ctx, func(r cache.Reader) (err error) {
		t, err = needTeam(r, org, name)
		return err
	})
	return t, err
}

func needTeam(r cache.Reader, org, name string) (t Team, err error) {
	if !accountName.MatchString(org) || !accountName.MatchString(name) {
		return t, missing("team", name)
	}
	ok, err := get(r, teamKey(org, name), &t)
	if err != nil || !ok {
		return t, orMissing(err, "team", name)
	}
	return t, nil
}

// DeleteTeam takes all roles from a team, its members from it, and it away. What
// a large team has goes in several transactions, of which the last one deletes
// it. For the organization's owners. Errors: cache.ErrNotExist.
func (d *Directory) DeleteTeam(ctx context.Context, actor policy.Subject, org, name string) error {
	if err := d.may(ctx, actor, policy.Organize, org); err != nil {
		return err
	}
	for done := false; !done; {
		err := d.changeOf(ctx, touched{owner: org}, "delete team "+name+" of "+org, func(w cache.Writer) error {
			t, err := needTeam(w, org, name)
			if err != nil {
				return err
			}
			n, err := emptyTeam(w, t)
			if err != nil {
				return err
			}
			r := teamRecord("team.delete", t)
			r.Before, r.After = r.After, nil
			r.Before["roles and members"] = strconv.Itoa(n)
			if done = n < page; !done {
				r.Action = "team.empty"
				return d.record(ctx, w, actor, r)
			}
			if err := drop(w, teamKey(org, name), teamIDKey(org, t.ID)); err != nil {
				return err
			}
			return d.record(ctx, w, actor, r)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// emptyTeam takes up to a page of roles and members from a team.
func emptyTeam(w cache.Writer, t Team) (n int, err error) {
	var keys [][]byte
	for _, kind := range []struct {
		prefix []byte
		other  func(rest string) []byte
	}{
		{teamGrantKey(t.Org, t.ID, nil), func(rest string) []byte { return []byte(rest) }},
		{teamMemberKey(t.Org, t.ID, ""), func(rest string) []byte { return memberTeamKey(t.Org, rest, t.ID) }},
	} {
		for row, err := range w.Scan(kind.prefix, nil) {
			if err != nil {
				return 0, err
			}
			if n == page {
				break
			}
			n++
			keys = append(keys, row.Key, kind.other(string(row.Key[len(kind.prefix):])))
		}
	}
	return n, drop(w, keys...)
}

func drop(w cache.Writer, keys ...[]byte) error {
	for _, k := range keys {
		if err := w.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// SetTeamMember puts a member of the organization into a team, or takes a user
// out of it. For the organization's owners. Errors: cache.ErrNotExist,
// ErrConflict for a user who is no member, and beyond MaxTeamsOfMember.
func (d *Directory) SetTeamMember(ctx context.Context, actor policy.Subject, m TeamMember, in bool) error {
	if err := d.may(ctx, actor, policy.Organize, m.Org); err != nil {
		return err
	}
	return d.changeOf(ctx, touched{m.User, m.Org}, "set member "+m.User+" of team "+m.Team+" of "+m.Org, func(w cache.Writer) error {
		t, err := needTeam(w, m.Org, m.Team)
		if err != nil {
			return err
		}
		if _, err := needAccount(w, m.User, false); err != nil {
			return err
		}
		is, err := has(w, teamMemberKey(m.Org, t.ID, m.User))
		if err != nil || is == in {
			return err
		}
		r := audit.Record{Action: "team.member.remove", Resource: audit.Resource{Owner: m.Org, ID: m.Team}, Before: audit.State{"user": m.User}}
		keys := [][]byte{teamMemberKey(m.Org, t.ID, m.User), memberTeamKey(m.Org, m.User, t.ID)}
		if !in {
			err = drop(w, keys...)
		} else if err = admitToTeam(w, m); err == nil {
			r.Action, r.Before, r.After = "team.member.add", nil, r.Before
			err = errors.Join(put(w, keys[0], struct{}{}), put(w, keys[1], struct{}{}))
		}
		if err != nil {
			return err
		}
		return d.record(ctx, w, actor, r)
	})
}

// admitToTeam checks that a user may be put into a team.
func admitToTeam(r cache.Reader, m TeamMember) error {
	role, err := readMembership(r, m.Org, m.User)
	if err != nil || role == "" {
		return orConflict(err, "%s is no member of %s: only members can be in its teams, see larder grant --help", m.User, m.Org)
	}
	n, err := count(r, memberTeamKey(m.Org, m.User, ""), MaxTeamsOfMember)
	if err != nil || n == MaxTeamsOfMember {
		return orConflict(err, "%s is in %d teams of %s, which is the limit", m.User, n, m.Org)
	}
	return nil
}

// leaveTeams takes a user out of all teams of an organization, and returns
// their names.
func leaveTeams(w cache.Writer, org, user string) (string, error) {
	ids, err := teamsOf(w, org, user)
	if err != nil {
		return "", err
	}
	var names []string
	for _, id := range ids {
		var name string
		if _, err := get(w, teamIDKey(org, id), &name); err != nil {
			return "", err
		}
		names = append(names, name)
		if err := drop(w, memberTeamKey(org, user, id), teamMemberKey(org, id, user)); err != nil {
			return "", err
		}
	}
	return strings.Join(names, " "), nil
}

// teamsOf returns the ids of the teams of an organization that a member is in:
// MaxTeamsOfMember at most.
func teamsOf(r cache.Reader, org, user string) (ids []string, err error) {
	prefix := memberTeamKey(org, user, "")
	for row, err := range r.Scan(prefix, nil) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, string(row.Key[len(prefix):]))
	}
	return ids, nil
}
