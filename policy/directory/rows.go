package directory

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	fast "github.com/go-json-experiment/json"

	"larder/cache"
	"larder/policy"
	"larder/policy/token"
)

const rowVersion = 1

// digest is the SHA-256 of a token.
type digest [32]byte

// Account is a user or an organization. Both share one space of names.
type Account struct {
	Name    string    `json:"name"`
	Org     bool      `json:"org,omitempty"`
	Email   string    `json:"email,omitempty"`
	Created time.Time `json:"created"`
	// Admin says that a user administers the instance.
	Admin     bool `json:"admin,omitempty"`
	Suspended bool `json:"suspended,omitempty"`
	// BaseRole is what members of an organization may do in its repositories.
	BaseRole policy.Role `json:"base_role,omitzero"`
	// Visibilities are those that whoever does not own an organization may give to
	// its packages and repositories; none: any.
	Visibilities []policy.Visibility `json:"visibilities,omitempty"`
}

// Repository carries the visibility and the grants of its packages.
type Repository struct {
	Owner      string            `json:"owner"`
	Name       string            `json:"name"`
	Visibility policy.Visibility `json:"visibility"`
	Created    time.Time         `json:"created"`
	// ImmutableTags are patterns of the tags that are set once.
	ImmutableTags []string `json:"immutable_tags,omitempty"`
	// SparseIndexes lets image indexes come without some of what they name.
	SparseIndexes bool `json:"sparse_indexes,omitempty"`
}

// Token is what is known of a token: all but its secret.
type Token struct {
	ID      string         `json:"id"`
	User    string         `json:"user"`
	Kind    token.Kind     `json:"kind"`
	Name    string         `json:"name,omitempty"`
	Hint    string         `json:"hint"`  // the first characters
	Last4   string         `json:"last4"` // the last four
	Scopes  []policy.Scope `json:"scopes"`
	Limits  policy.Limits  `json:"limits,omitzero"`
	Created time.Time      `json:"created"`
	Expires time.Time      `json:"expires,omitzero"` // zero: never
	Revoked time.Time      `json:"revoked,omitzero"`
	// MintedFrom is the id of the token it was made with, "" for the first one.
	MintedFrom string `json:"minted_from,omitempty"`
	// LastUsed and LastAddress are up to a minute behind.
	LastUsed    time.Time  `json:"-"`
	LastAddress netip.Addr `json:"-"`
}

// tokenRow is a Token as it is stored.
type tokenRow struct {
	Token
	// Ancestors are the digests of the tokens that this one was traded for: it
	// ends when one of them does.
	Ancestors [][]byte `json:"ancestors,omitempty"`
}

// use is the row of the last use of a token.
type use struct {
	At      time.Time  `json:"at"`
	Address netip.Addr `json:"address,omitzero"`
}

func accountKey(name string) []byte { return []byte("oa" + name) }
func memberKey(org, user string) []byte {
	return []byte("om" + org + "\x00" + user)
}
func repositoryKey(owner, name string) []byte {
	return []byte("or" + owner + "\x00" + name)
}

// grantKey is of a user's name, or of a team's id behind an @, which no name holds.
func grantKey(owner, name, grantee string) []byte {
	return []byte("og" + owner + "\x00" + name + "\x00" + grantee)
}
func accessKey(id string) []byte { return []byte("oq" + id) }

// grantAt is the key of a grant in a repository, or in a package that has its own.
func grantAt(repository, access, grantee string) []byte {
	if access != "" {
		return []byte("op" + access + "\x00" + grantee)
	}
	owner, name := cut(repository)
	return grantKey(owner, name, grantee)
}
func teamKey(org, name string) []byte { return []byte("ot" + org + "\x00" + name) }
func teamIDKey(org, id string) []byte { return []byte("oi" + org + "\x00" + id) }
func teamMemberKey(org, id, user string) []byte {
	return []byte("ok" + org + "\x00" + id + "\x00" + user)
}
func memberTeamKey(org, user, id string) []byte {
	return []byte("ou" + org + "\x00" + user + "\x00" + id)
}
func teamGrantKey(org, id string, grant []byte) []byte {
	return append([]byte("oh"+org+"\x00"+id+"\x00"), grant...)
}
func claimKey(id string) []byte        { return []byte("oc" + id) }
func tokenKey(d digest) []byte         { return append([]byte("td"), d[:]...) }
func tokenIDKey(id string) []byte      { return []byte("ti" + id) }
func tokenUsersKey(user string) []byte { return []byte("tu" + user + "\x00") }
func tokenUserKey(user, id string) []byte {
	return append(tokenUsersKey(user), id...)
}
func tokenUseKey(id string) []byte { return []byte("tl" + id) }
func tokenEndKey(at time.Time, id string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte("tx"), uint64(at.Unix())), id...)
}

func bearerKey() []byte { return []byte("kbearer") }

// put stores a row. A record that would pass the limit of the Index was made
// too large by whoever asked for it.
func put(w cache.Writer, key []byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode row: %w", err)
	}
	if len(b)+1 > cache.MaxValue {
		return fail(ErrInvalid, "this is too much for one record: %d bytes, at most %d", len(b), cache.MaxValue-1)
	}
	return w.Put(key, append([]byte{rowVersion}, b...))
}

// get reads a row; ok is false where there is none.
func get(r cache.Reader, key []byte, v any) (ok bool, err error) {
	b, err := r.Get(key)
	if errors.Is(err, cache.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, decode(b, v)
}

func decode(b []byte, v any) error {
	if len(b) == 0 || b[0] != rowVersion {
		return errors.New("row of an unknown version")
	}
	// Three times as fast as encoding/json on what that writes, and every first
	// decision about somebody decodes rows.
	if err := fast.Unmarshal(b[1:], v); err != nil {
		return fmt.Errorf("decode row: %w", err)
	}
	return nil
}

// getDigest reads the digest that an id or another row points to.
func getDigest(r cache.Reader, key []byte) (d digest, ok bool, err error) {
	b, err := r.Get(key)
	if errors.Is(err, cache.ErrNotExist) {
		return d, false, nil
	}
	if err != nil {
		return d, false, err
	}
	return toDigest(b)
}

func toDigest(b []byte) (d digest, ok bool, err error) {
	if copy(d[:], b) != len(d) || len(b) != len(d) {
		return d, false, errors.New("row holds no digest")
	}
	return d, true, nil
}
