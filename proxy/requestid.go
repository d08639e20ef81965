package proxy

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"
	"sync/atomic"

	"larder/policy/token"
)

// requestIDs makes ids that are unique over restarts: random start, then a counter.
type requestIDs struct {
	prefix string
	n      atomic.Uint64
}

func newRequestIDs() *requestIDs {
	var b [6]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return &requestIDs{prefix: hex.EncodeToString(b[:]) + "-"}
}

// of takes the client's own id over when it is harmless in logs and headers.
func (g *requestIDs) of(h http.Header) string {
	if lines := h["X-Request-Id"]; len(lines) == 1 && saneID(lines[0]) {
		return lines[0]
	}
	var b [32]byte
	return string(strconv.AppendUint(append(b[:0], g.prefix...), g.n.Add(1), 36))
}

// saneID: 1 to 128 letters, digits, dots, dashes, underscores, and no token of
// ours, which would then stand in the log.
func saneID(s string) bool {
	if s == "" || len(s) > 128 || token.Redact(s) != s {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}
