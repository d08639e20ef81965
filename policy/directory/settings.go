package directory

import (
	"context"
	"slices"
	"strings"

	"larder/cache"
	"larder/policy"
	"larder/policy/audit"
)

// OrgSettings changes an organization; what is nil stays as it is.
type OrgSettings struct {
	// BaseRole is what members may do in all of its repositories.
	BaseRole *policy.Role
	// Visibilities are those that whoever is no owner may give to packages and
	// repositories, one at least.
	Visibilities []policy.Visibility
}

// SetOrganization changes the settings of an organization. For its owners.
// Errors: cache.ErrNotExist, ErrInvalid.
func (d *Directory) SetOrganization(ctx context.Context, actor policy.Subject, org string, set OrgSettings) error {
	if err := d.may(ctx, actor, policy.Organize, org); err != nil {
		return err
	}
	if set.BaseRole != nil && *set.BaseRole > policy.RoleAdmin {
		return fail(ErrInvalid, "role %d is not known", *set.BaseRole)
	}
	if set.Visibilities != nil {
		if len(set.Visibilities) == 0 {
			return fail(ErrInvalid, "members need one visibility at least: public, internal or private")
		}
		set.Visibilities = slices.Compact(slices.Sorted(slices.Values(set.Visibilities)))
		for _, v := range set.Visibilities {
			if _, err := policy.ParseVisibility(string(v)); err != nil {
				return fail(ErrInvalid, "%s", err)
			}
		}
	}
	return d.changeOf(ctx, touched{owner: org}, "change "+org, func(w cache.Writer) error {
		r := audit.Record{Action: "org.set", Resource: audit.Resource{Owner: org}, Before: audit.State{}, After: audit.State{}}
		note := func(a Account, into audit.State) {
			if set.BaseRole != nil {
				into["role"] = a.BaseRole.String()
			}
			if set.Visibilities != nil {
				into["visibilities"] = visibilityWords(a.Visibilities)
			}
		}
		if err := amend(w, org, true, func(a *Account) {
			note(*a, r.Before)
			if set.BaseRole != nil {
				a.BaseRole = *set.BaseRole
			}
			if set.Visibilities != nil {
				a.Visibilities = set.Visibilities
			}
			note(*a, r.After)
		}); err != nil {
			return err
		}
		return d.record(ctx, w, actor, r)
	})
}

func visibilityWords(all []policy.Visibility) string {
	if len(all) == 0 {
		return "any"
	}
	words := make([]string, len(all))
	for i, v := range all {
		words[i] = string(v)
	}
	return strings.Join(words, " ")
}

// Admit says, in the transaction that would do it, whether somebody may give a
// visibility to something of a repository: owners may give any, others those
// that the organization leaves to them.
func (d *Directory) Admit(r cache.Reader, actor policy.Subject, repository string, v policy.Visibility) error {
	owner, _ := cut(repository)
	var whose Account
	if _, err := get(r, accountKey(owner), &whose); err != nil {
		return err
	}
	if len(whose.Visibilities) == 0 || slices.Contains(whose.Visibilities, v) {
		return nil
	}
	s, err := readStanding(r, place{user: actor.User, where: owner})
	if err != nil || s.Owner {
		return err
	}
	return refuse(policy.Deny, "%s lets only its owners make something %s, others make it %s: ask an owner",
		owner, v, strings.ReplaceAll(visibilityWords(whose.Visibilities), " ", " or "))
}
