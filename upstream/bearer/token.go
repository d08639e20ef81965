package bearer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Limits of what a token service may answer.
const (
	maxAnswer = 64 << 10 // bytes
	maxToken  = 16 << 10 // bytes; a longer one fits into no header
	// assumedLife is how long a token is good that does not tell.
	assumedLife = 60 * time.Second
	// maxLife bounds what a service may promise: its rights change meanwhile.
	maxLife = time.Hour
	// settled is how old a token must be before a refusal of it may be because
	// of its age, if it has never been taken.
	settled = 10 * time.Second
)

// token is what a token service gave for one challenge.
type token struct {
	challenge challenge
	text      string
	got       time.Time
	until     time.Time   // not to be used after
	worked    atomic.Bool // the registry has taken it
}

// outdated reports whether another token than t may succeed where t was refused
// with the challenge c. One that was refused at its first use is not replaced at
// once: a registry that refuses for other reasons would see two requests for each.
func (t *token) outdated(c challenge, now time.Time) bool {
	return t == nil || t.challenge != c || t.worked.Load() || now.Sub(t.got) >= settled
}

// readToken reads the answer of a token service.
func readToken(body io.Reader) (text string, life time.Duration, err error) {
	data, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err != nil {
		return "", 0, err
	}
	if len(data) > maxAnswer {
		return "", 0, fmt.Errorf("an answer of more than %d bytes", maxAnswer)
	}
	return parseToken(data)
}

func parseToken(data []byte) (text string, life time.Duration, err error) {
	var answer struct {
		Token       string          `json:"token"`
		AccessToken string          `json:"access_token"`
		ExpiresIn   json.RawMessage `json:"expires_in"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		// Not %w: the text of the error holds pieces of the answer.
		return "", 0, errors.New("an answer that is not the JSON of a token")
	}
	if text = answer.Token; text == "" {
		text = answer.AccessToken
	}
	switch {
	case text == "":
		return "", 0, errors.New("an answer without a token")
	case len(text) > maxToken:
		return "", 0, fmt.Errorf("a token of more than %d bytes", maxToken)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return "", 0, errors.New("a token with characters that no header can hold")
	}
	return text, lifeOf(string(answer.ExpiresIn)), nil
}

// lifeOf reads expires_in: seconds, by some services in quotes. What makes no
// sense counts as absent.
func lifeOf(seconds string) time.Duration {
	n, err := strconv.ParseFloat(strings.Trim(seconds, `"`), 64)
	if (err != nil && !errors.Is(err, strconv.ErrRange)) || math.IsNaN(n) || n <= 0 {
		return assumedLife
	}
	return time.Duration(min(n, maxLife.Seconds()) * float64(time.Second))
}
