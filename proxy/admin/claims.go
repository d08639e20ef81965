package admin

import "larder/policy"

// ClaimList is the answer of GET /api/v1/claims.
type ClaimList struct {
	Claims []policy.Claim `json:"claims"`
}

func (c *call) listClaims() (any, error) {
	list, err := c.Directory.Claims(c.r.Context(), c.caller)
	if list == nil {
		list = []policy.Claim{}
	}
	return ClaimList{list}, err
}

// addClaim takes a policy.Claim; an empty id is chosen from the pattern.
func (c *call) addClaim() (any, error) {
	var in policy.Claim
	if err := c.body(&in); err != nil {
		return nil, err
	}
	made, err := c.Directory.AddClaim(c.r.Context(), c.caller, in)
	return created{made}, err
}

func (c *call) removeClaim() (any, error) {
	return nil, c.Directory.RemoveClaim(c.r.Context(), c.caller, c.r.PathValue("id"))
}
