package admin

import (
	"math"
	"time"

	"larder/policy"
	"larder/policy/directory"
)

// Token is a token as the API shows it: all but its secret.
type Token struct {
	ID         string         `json:"id"`
	User       string         `json:"user"`
	Name       string         `json:"name,omitempty"`
	Prefix     string         `json:"prefix"` // the first characters
	Last4      string         `json:"last4"`
	Scopes     []policy.Scope `json:"scopes"`
	Limits     policy.Limits  `json:"limits,omitzero"`
	Created    time.Time      `json:"created_at"`
	Expires    time.Time      `json:"expires_at,omitzero"` // absent: never
	LastUsed   time.Time      `json:"last_used_at,omitzero"`
	LastFrom   string         `json:"last_used_from,omitempty"`
	MintedFrom string         `json:"minted_from,omitempty"`
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
	Tokens []Token `json:"tokens"`
}

// listTokens lists those of the caller, or with user= those of another user.
func (c *call) listTokens() (any, error) {
	user := c.r.URL.Query().Get("user")
	if user == "" {
		user = c.caller.User
	}
	own, err := c.Directory.Tokens(c.r.Context(), c.caller, user)
	if err != nil {
		return nil, err
	}
	list := TokenList{Tokens: []Token{}}
	for _, t := range own {
		list.Tokens = append(list.Tokens, describeToken(t))
	}
	return list, nil
}

// NewToken is the body of POST /api/v1/tokens.
type NewToken struct {
	User   string         `json:"user,omitempty"` // empty: the caller
	Name   string         `json:"name,omitempty"`
	Scopes []policy.Scope `json:"scopes"`
	Limits policy.Limits  `json:"limits,omitzero"`
	// ExpiresIn is in seconds; 0 takes directory.DefaultLifetime.
	ExpiresIn int64 `json:"expires_in,omitempty"`
	// Forever makes a token that does not expire; for administrators.
	Forever bool `json:"forever,omitempty"`
}

// MadeToken is a token with its secret, which is shown this once.
type MadeToken struct {
	Token
	Secret string `json:"token"`
}

func (c *call) createToken() (any, error) {
	var in NewToken
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if in.ExpiresIn < 0 || in.ExpiresIn > math.MaxInt64/int64(time.Second) || in.ExpiresIn > 0 && in.Forever {
		return nil, bad("expires_in is a number of seconds from now, and goes without forever")
	}
	secret, made, err := c.Directory.MintToken(c.r.Context(), c.caller, directory.Mint{
		User: in.User, Name: in.Name, Scopes: in.Scopes, Limits: in.Limits,
		Lifetime: time.Duration(in.ExpiresIn) * time.Second, Forever: in.Forever,
	})
	if err != nil {
		return nil, err
	}
	return created{MadeToken{describeToken(made), secret.Reveal()}}, nil
}

func (c *call) revokeToken() (any, error) {
	return nil, c.Directory.RevokeToken(c.r.Context(), c.caller, c.r.PathValue("id"))
}
