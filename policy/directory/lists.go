package directory

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"strings"

	"larder/cache"
	"larder/policy"
)

// OrgMember is a member of an organization.
type OrgMember struct {
	User string
	Role Membership
}

// Granted is a role that a user or a team has in a repository or package.
type Granted struct {
	User string // "" for a team
	Team string
	Role policy.Role
	// After continues the list behind this grant.
	After string
}

// page is how many rows one transaction reads or writes.
const page = 1000

// list is what lies below prefix, in order of the keys. Each transaction reads
// a page; read gets the key without prefix, in the same transaction.
func list[T any](ctx context.Context, d *Directory, prefix, after []byte, read func(r cache.Reader, rest string, value []byte) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			var found []T
			var last []byte
			err := d.index.View(ctx, func(r cache.Reader) error {
				found, last = found[:0], nil
				for row, err := range r.Scan(prefix, after) {
					if err != nil {
						return err
					}
					item, err := read(r, string(row.Key[len(prefix):]), row.Value)
					if err != nil {
						return err
					}
					if found = append(found, item); len(found) == page {
						last = row.Key
						break
					}
				}
				return nil
			})
			if err != nil {
				var none T
				yield(none, fmt.Errorf("list: %w", err))
				return
			}
			for _, item := range found {
				if !yield(item, nil) {
					return
				}
			}
			if last == nil {
				return
			}
			after = last
		}
	}
}

// behind is where a list goes on that ended with a name; "" is its beginning.
func behind(prefix []byte, name string) []byte {
	if name == "" {
		return nil
	}
	return append(bytes.Clone(prefix), name...)
}

func decoded[T any](_ cache.Reader, _ string, value []byte) (v T, err error) {
	err = decode(value, &v)
	return v, err
}

// Accounts yields the users and organizations whose names come after the one
// given.
func (d *Directory) Accounts(ctx context.Context, after string) iter.Seq2[Account, error] {
	prefix := accountKey("")
	return list(ctx, d, prefix, behind(prefix, after), decoded[Account])
}

// Repositories yields the repositories of an owner, or with "" all, that come
// after the one given as owner/name.
func (d *Directory) Repositories(ctx context.Context, owner, after string) iter.Seq2[Repository, error] {
	prefix, from := []byte("or"), []byte(nil)
	if owner != "" {
		prefix = repositoryKey(owner, "")
	}
	if after != "" {
		from = repositoryKey(cut(after))
	}
	return list(ctx, d, prefix, from, decoded[Repository])
}

func cut(full string) (owner, name string) {
	owner, name, _ = strings.Cut(full, "/")
	return owner, name
}

// Members yields the members of an organization whose names come after the one
// given; none where it does not exist.
func (d *Directory) Members(ctx context.Context, org, after string) iter.Seq2[OrgMember, error] {
	prefix := memberKey(org, "")
	return list(ctx, d, prefix, behind(prefix, after), func(_ cache.Reader, user string, value []byte) (OrgMember, error) {
		m := OrgMember{User: user}
		err := decode(value, &m.Role)
		return m, err
	})
}

// Teams yields the teams of an organization whose names come after the one given.
func (d *Directory) Teams(ctx context.Context, org, after string) iter.Seq2[Team, error] {
	prefix := teamKey(org, "")
	return list(ctx, d, prefix, behind(prefix, after), decoded[Team])
}

// TeamMembers yields the users in a team that come after the one given.
func (d *Directory) TeamMembers(ctx context.Context, t Team, after string) iter.Seq2[string, error] {
	prefix := teamMemberKey(t.Org, t.ID, "")
	return list(ctx, d, prefix, behind(prefix, after), func(_ cache.Reader, user string, _ []byte) (string, error) { return user, nil })
}

// Grants yields the grants in a repository, or in a package that has its own,
// that come after the one given.
func (d *Directory) Grants(ctx context.Context, res policy.Resource, after string) iter.Seq2[Granted, error] {
	owner, _ := cut(res.Repository)
	prefix := grantAt(res.Repository, res.Access, "")
	return list(ctx, d, prefix, behind(prefix, after), granted(owner))
}

// granted reads grants of what an owner has.
func granted(owner string) func(cache.Reader, string, []byte) (Granted, error) {
	return func(r cache.Reader, grantee string, value []byte) (Granted, error) {
		g := Granted{After: grantee}
		if err := decode(value, &g.Role); err != nil {
			return g, err
		}
		id, is := strings.CutPrefix(grantee, teamMark)
		if !is {
			g.User = grantee
			return g, nil
		}
		_, err := get(r, teamIDKey(owner, id), &g.Team)
		return g, err
	}
}
