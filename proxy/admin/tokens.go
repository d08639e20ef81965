package admin

import (
	"cmp"
	"time"

	"larder/policy"
	"larder/policy/directory"
)

// Token is a token as the API shows it: all but its secret.
type Token struct {
	ID         string         `json:"id" doc:"Id of the token, which is no secret."`
	User       string         `json:"user" doc:"Whose token it is."`
	Name       string         `json:"name,omitempty" doc:"Name that it was given."`
	Prefix     string         `json:"prefix" doc:"First characters of the secret."`
	Last4      string         `json:"last4" doc:"Last characters of the secret."`
	Scopes     []policy.Scope `json:"scopes" doc:"What it may be used for, where the user may do it."`
	Limits     policy.Limits  `json:"limits,omitzero" doc:"What it is limited to."`
	Created    time.Time      `json:"created_at" doc:"When it was made."`
	Expires    time.Time      `json:"expires_at,omitzero" doc:"When it ends; absent for never."`
	LastUsed   time.Time      `json:"last_used_at,omitzero" doc:"When it was used last, to the minute; absent for never."`
	LastFrom   string         `json:"last_used_from,omitempty" doc:"Address from which it was used last."`
	MintedFrom string         `json:"minted_from,omitempty" doc:"Id of the token that it was made with."`
}

func describeToken(t directory.Token) Token {
	shown := Token{
		ID: t.ID, User: t.User, Name: t.Name, Prefix: t.Hint, Last4: t.Last4, Scopes: t.Scopes, Limits: t.Limits,
		Created: t.Created, Expires: t.Expires, LastUsed: t.LastUsed, MintedFrom: t.MintedFrom,
	}
	if t.LastAddress.IsValid() {
		shown.LastFrom = t.LastAddress.String()
	}
	return shown
}

// TokenList is the answer of GET /api/v1/tokens.
type TokenList struct {
	Tokens []Token `json:"tokens" doc:"Tokens that are not revoked, without their secrets; by id."`
	Page
}

type tokenQuery struct {
	User string `query:"user" doc:"Whose tokens; without it those of the caller. Those of others are for administrators."`
	paging
}

func (c *call) listTokens(q tokenQuery, _ none) (TokenList, error) {
	own, err := c.Directory.Tokens(c.r.Context(), c.caller, cmp.Or(q.User, c.caller.User))
	if err != nil {
		return TokenList{}, err
	}
	id := func(t directory.Token) string { return t.ID }
	tokens, next, err := pageOf(shown(behind(own, q.After, id), all(describeToken)), q.Limit, func(t Token) string { return t.ID })
	return TokenList{tokens, Page{next}}, err
}

// NewToken is the body of POST /api/v1/tokens.
type NewToken struct {
	User      string         `json:"user,omitempty" doc:"Whose token; without it the caller's. Only administrators make tokens for others."`
	Name      string         `json:"name,omitempty" max:"200" doc:"Name to know it by, without control characters."`
	Scopes    []policy.Scope `json:"scopes" min:"1" doc:"What it may be used for: no more than the token in use."`
	Limits    policy.Limits  `json:"limits,omitzero" doc:"What it is limited to: no less than the token in use."`
	ExpiresIn int64          `json:"expires_in,omitempty" min:"0" max:"31536000" doc:"Seconds until it ends, at most 365 days; without it, or with 0, 90 days or what is left of the token in use."`
	Forever   bool           `json:"forever,omitempty" doc:"It never ends. For administrators, and without expires_in."`
}

// MadeToken is a token with its secret, which is shown this once.
type MadeToken struct {
	Token
	Secret string `json:"token" doc:"The secret, which is shown this once."`
}

func (c *call) createToken(_ none, in NewToken) (created[MadeToken], error) {
	if in.ExpiresIn > 0 && in.Forever {
		return created[MadeToken]{}, bad("expires_in is a number of seconds from now, and goes without forever")
	}
	secret, made, err := c.Directory.MintToken(c.r.Context(), c.caller, directory.Mint{
		User: in.User, Name: in.Name, Scopes: in.Scopes, Limits: in.Limits,
		Lifetime: time.Duration(in.ExpiresIn) * time.Second, Forever: in.Forever,
	})
	if err != nil {
		return created[MadeToken]{}, err
	}
	return created[MadeToken]{MadeToken{describeToken(made), secret.Reveal()}, "/api/v1/tokens/" + made.ID}, nil
}

func (c *call) revokeToken(none, none) (none, error) {
	return none{}, c.Directory.RevokeToken(c.r.Context(), c.caller, c.r.PathValue("id"))
}
