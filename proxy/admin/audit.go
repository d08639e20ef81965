package admin

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"larder/cache"
	"larder/policy"
	"larder/policy/audit"
)

// Refusal explains a decision to whoever holds its id. It does not say who was
// refused; Record, which does, is for administrators.
type Refusal struct {
	ID       string    `json:"id"`
	Since    time.Time `json:"since"` // when it was first made
	Action   string    `json:"action"`
	Call     string    `json:"call,omitempty"` // of the API
	Format   string    `json:"format,omitempty"`
	Package  string    `json:"package,omitempty"`
	Version  string    `json:"version,omitempty"`
	Status   int       `json:"status"`
	Rule     string    `json:"rule,omitempty"`
	Scopes   string    `json:"accepted_scopes,omitempty"`
	Sentence string    `json:"sentence"`
	Opens    string    `json:"opens,omitempty"`
	// Record is the line of the audit log.
	Record json.RawMessage `json:"record,omitempty"`
}

// showDecision answers without an account: the id is the key.
func (c *call) showDecision() (any, error) {
	ctx := c.r.Context()
	r, err := audit.Find(ctx, c.Audit, c.r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	out := Refusal{
		ID: r.DecisionID, Since: r.Time, Action: r.Action, Call: r.Resource.ID, Format: r.Resource.Format, Package: r.Resource.Package,
		Version: r.Resource.Version, Status: r.Status, Rule: r.Reason.RuleID, Scopes: r.Reason.Scope, Opens: r.After["opens"],
	}
	if c.Directory.Authorize(ctx, c.caller, policy.Administer, policy.Resource{}).Err() == nil {
		out.Sentence = r.Reason.Sentence
		out.Record, err = r.Line()
		return out, err
	}
	switch r.Status {
	case http.StatusUnauthorized, http.StatusTooManyRequests:
		// What is wrong with a credential tells of its owner.
		out.Sentence = "the credential was missing or not accepted: sign in, and try again"
	case http.StatusForbidden:
		out.Sentence = withoutName(r.Reason.Sentence, r.Actor.ID)
	default:
		return nil, cache.ErrNotExist // its id was given to nobody
	}
	return out, nil
}

// withoutName takes the name of whoever was refused out of a sentence.
func withoutName(sentence, name string) string {
	if name == "" {
		return sentence
	}
	word := regexp.MustCompile(`(^|[^\w@./-])` + regexp.QuoteMeta(name) + `($|[^\w./-])`)
	return word.ReplaceAllString(sentence, "${1}the caller${2}")
}

// exportAudit streams records, one line each, as they are hashed. Query: since,
// a time; after, a sequence number; limit.
func (c *call) exportAudit() (any, error) {
	after, err := c.number("after")
	if err != nil {
		return nil, err
	}
	limit, err := c.number("limit")
	if err != nil {
		return nil, err
	}
	var f audit.Filter
	if text := c.r.URL.Query().Get("since"); text != "" {
		if f.Since, err = time.Parse(time.RFC3339, text); err != nil {
			return nil, bad("since=%.40q is no time such as 2026-01-31T00:00:00Z", text)
		}
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	c.w.WriteHeader(http.StatusOK)
	if c.r.Method == http.MethodHead {
		return handled{}, nil
	}
	c.lines(after, limit, f)
	return handled{}, nil
}

// lines writes what exportAudit found. An error becomes the last line.
func (c *call) lines(after, limit uint64, f audit.Filter) {
	n := uint64(0)
	for r, err := range audit.Export(c.r.Context(), c.Audit, after, f) {
		var line []byte
		if err == nil {
			line, err = r.Line()
		}
		if err != nil {
			p := c.problem(err)
			p.Detail = err.Error() // administrators have to know which record it is
			_ = json.NewEncoder(c.w).Encode(Line{Problem: &p})
			return
		}
		if _, err := c.w.Write(append(line, '\n')); err != nil {
			return // the client went away
		}
		if n++; n == limit {
			return
		}
	}
}

// number reads a query parameter; without it, 0.
func (c *call) number(name string) (uint64, error) {
	text := c.r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, bad("%s=%.20q is no number", name, text)
	}
	return n, nil
}

func (c *call) verifyAudit() (any, error) {
	return stream(func(func(any)) (any, error) {
		report, err := audit.Verify(c.r.Context(), c.Audit)
		return Line{Audit: &report}, err
	}), nil
}
