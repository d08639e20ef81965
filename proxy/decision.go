package proxy

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"net/http"
	"time"

	"larder/formats"
	"larder/policy"
)

// decisionWords are the digits of ids of decisions: none can be taken for
// another when it is read out or typed from a terminal.
const decisionWords = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// newDecision returns an id that nobody guesses: whoever holds one may read why
// a request was refused.
func newDecision() string {
	var b [10]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return base32.NewEncoding(decisionWords).EncodeToString(b[:])
}

// decided names a refusal, for the client to ask about. What is hidden gets no
// name, for then it could be told from what is missing.
func (x *exchange) decided(f *formats.Failure, h http.Header) {
	switch f.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
	default:
		return
	}
	x.decision = newDecision()
	h.Set("X-Larder-Decision", x.decision)
	h.Set("Link", "<"+x.origin()+"/api/v1/decisions/"+x.decision+`>; rel="help"`)
	var refusal *policy.Refusal
	if !errors.As(f.Err, &refusal) {
		return
	}
	if d := refusal.Decision; d.Rule != "" {
		h.Set("X-Larder-Policy", d.Rule)
		if !d.Opens.IsZero() {
			h.Set("X-Larder-Retry-At", d.Opens.UTC().Format(time.RFC3339))
		}
	}
}

// origin is the root URL as the client reached it, or the public one.
func (x *exchange) origin() string {
	if x.edge.public != "" {
		return x.edge.public
	}
	return x.root
}
