package bearer

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Rotation is how long a key signs.
const Rotation = 30 * 24 * time.Hour

const secretSize = 32 // bytes

// Ring is the key that signs and the one before it, whose tokens are still read.
// The zero value has none. It does not change.
type Ring struct {
	keys []*key
}

// key is one of them. Encode alone writes it out: the secret is behind a second
// pointer, because fmt prints what it finds in unexported fields behind one.
type key struct {
	ID     string    `json:"id"`
	Secret *[]byte   `json:"secret"`
	Made   time.Time `json:"made"`
}

func (k *key) sign(signed string) string {
	mac := hmac.New(sha256.New, *k.Secret)
	mac.Write([]byte(k.ID + "." + signed)) // a hash never fails
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Due says that the ring needs a new key.
func (r Ring) Due(now time.Time) bool {
	return len(r.keys) == 0 || now.Sub(r.keys[0].Made) >= Rotation || now.Before(r.keys[0].Made)
}

// Rotate returns the ring with a new key in front.
func (r Ring) Rotate(now time.Time) (Ring, error) {
	var id [4]byte
	secret := make([]byte, secretSize)
	for _, b := range [][]byte{id[:], secret} {
		if _, err := rand.Read(b); err != nil {
			return Ring{}, fmt.Errorf("make a key for bearer tokens: %w", err)
		}
	}
	keys := []*key{{hex.EncodeToString(id[:]), &secret, now.UTC().Truncate(time.Second)}}
	return Ring{append(keys, r.keys[:min(len(r.keys), 1)]...)}, nil
}

// Encode returns the ring with its secrets, to be stored.
func (r Ring) Encode() ([]byte, error) { return json.Marshal(r.keys) }

// Decode reads a ring. Errors: one that Encode has not written.
func Decode(b []byte) (Ring, error) {
	var keys []*key
	if err := json.Unmarshal(b, &keys); err != nil {
		return Ring{}, fmt.Errorf("keys of bearer tokens: %w", err)
	}
	for _, k := range keys {
		if k == nil || k.ID == "" || k.Secret == nil || len(*k.Secret) != secretSize {
			return Ring{}, fmt.Errorf("keys of bearer tokens: one of %d is none", len(keys))
		}
	}
	return Ring{keys}, nil
}
