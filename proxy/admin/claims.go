package admin

import (
	"slices"
	"strings"

	"larder/policy"
)

// Claim says that names are ours: they belong to a repository, and no upstream
// is asked for them.
type Claim struct {
	ID         string   `json:"id" doc:"Id of the claim."`
	Formats    []string `json:"formats" doc:"Formats it is about; empty for all."`
	Match      []string `json:"match" doc:"Patterns of the names."`
	Repository string   `json:"repository" doc:"Where the names are published, OWNER/NAME."`
}

func describeClaim(c policy.Claim) Claim {
	return Claim{ID: c.ID, Formats: append([]string{}, c.Formats...), Match: c.Match, Repository: c.Repository}
}

// ClaimList is the answer of GET /api/v1/claims.
type ClaimList struct {
	Claims []Claim `json:"claims" doc:"By id."`
	Page
}

func (c *call) listClaims(q paging, _ none) (ClaimList, error) {
	list, err := c.Directory.Claims(c.r.Context(), c.caller)
	if err != nil {
		return ClaimList{}, err
	}
	id := func(c policy.Claim) string { return c.ID }
	list = slices.SortedFunc(slices.Values(list), func(x, y policy.Claim) int { return strings.Compare(x.ID, y.ID) })
	claims, next, err := pageOf(shown(behind(list, q.After, id), all(describeClaim)), q.Limit, func(c Claim) string { return c.ID })
	return ClaimList{claims, Page{next}}, err
}

// NewClaim is the body of POST /api/v1/claims.
type NewClaim struct {
	ID         string   `json:"id,omitempty" max:"100" doc:"Id of the claim: a-z, 0-9, dot, dash and underscore. Without one it is made of the first pattern."`
	Formats    []string `json:"formats,omitempty" doc:"Formats it is about, such as npm; without any it is about all."`
	Match      []string `json:"match" min:"1" max:"100" doc:"Patterns of names. * stands for any text without a slash, a final /** or .** for everything below."`
	Repository string   `json:"repository" doc:"Where the names are published, OWNER/NAME."`
}

func (c *call) addClaim(_ none, in NewClaim) (created[Claim], error) {
	made, err := c.Directory.AddClaim(c.r.Context(), c.caller, policy.Claim(in))
	return created[Claim]{describeClaim(made), "/api/v1/claims/" + made.ID}, err
}

func (c *call) removeClaim(none, none) (none, error) {
	return none{}, c.Directory.RemoveClaim(c.r.Context(), c.caller, c.r.PathValue("id"))
}
