// Package directory keeps who there is and who may do what: accounts (users and
// organizations), repositories, grants, claims and tokens, as rows of the Index.
// It answers Authenticate and Authorize, and makes every change through a call
// that checks the authority of whoever asks.
//
// Nothing is held in memory per account or token: decoded rows stay in caches of
// fixed size, are dropped by a change and are read again after MaxAge. Claims
// are the exception; their number is bounded by policy.MaxClaims.
//
// Accounts have no password: a token is accepted wherever a client asks for one.
//
// Rows (names hold no zero byte; D is the SHA-256 of a token, 32 bytes):
//
//	o a name                    Account
//	o m organization 0 user     membership: "owner" or "member"
//	o r owner 0 repository      Repository
//	o g owner 0 repository 0 user   granted policy.Role, as a word
//	o g owner 0 repository 0 @ id   the same, of a team
//	o q access                      ownAccess, the package that has grants of its own
//	o p access 0 user, or 0 @ id    the same as o g, in that package
//	o t organization 0 team         Team
//	o i organization 0 id           name of a team
//	o k organization 0 id 0 user    user in a team
//	o u organization 0 user 0 id    the same, by user
//	o h organization 0 id 0 key     key of a row that grants a role to a team
//	o c id                      policy.Claim added by API
//	t d D                       Token
//	t i id                      D
//	t u user 0 id               D, of the tokens that are not revoked
//	t l id                      when and from where it was last used
//	t x time(8) id              D; the token may be forgotten from that Unix second on
//	k bearer                    the keys that sign bearer tokens
//
// Every value begins with the version byte 1, those that hold D apart.
package directory
