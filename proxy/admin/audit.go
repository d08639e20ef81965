package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"time"

	"larder/cache"
	"larder/policy"
	"larder/policy/audit"
	"larder/policy/purl"
)

// Refusal explains a decision to whoever holds its id. It does not say who was
// refused; Record, which does, is for administrators.
type Refusal struct {
	ID       string    `json:"id" doc:"Id of the decision, as the field X-Larder-Decision had it."`
	Since    time.Time `json:"since" doc:"When it was first made."`
	Action   string    `json:"action" doc:"What was to be done."`
	Call     string    `json:"call,omitempty" doc:"Call of this API that was refused."`
	Format   string    `json:"format,omitempty" doc:"Format of the package."`
	Package  string    `json:"package,omitempty" doc:"Name of the package."`
	Version  string    `json:"version,omitempty" doc:"Version that was asked for."`
	Purl     string    `json:"purl,omitempty" doc:"Package and version as a package URL."`
	Status   int       `json:"status" doc:"Status of the answer."`
	Rule     string    `json:"rule,omitempty" doc:"Id of the rule that refused."`
	Scopes   string    `json:"accepted_scopes,omitempty" doc:"Scopes of which the token needed one, separated by a comma and a blank."`
	Sentence string    `json:"sentence" doc:"Why it was refused, and what to do."`
	Opens    time.Time `json:"opens,omitzero" doc:"When the rule stops to refuse by itself."`
	Newest   string    `json:"newest_allowed,omitempty" doc:"Newest version that was allowed then."`
	Remedy   *Remedy   `json:"remedy,omitempty" doc:"What can be done about a refusal by a rule."`
	Record   auditLine `json:"record,omitempty" doc:"The record of the audit log, for administrators."`
}

// auditLine is a record of the audit log as it was hashed.
type auditLine json.RawMessage

// MarshalJSON returns the line.
func (l auditLine) MarshalJSON() ([]byte, error) { return l, nil }

// showDecision answers without an account: the id is the key.
func (c *call) showDecision(none, none) (Refusal, error) { return c.refusal() }

// refusal is the decision that the path names, as the caller may see it.
func (c *call) refusal() (Refusal, error) {
	ctx := c.r.Context()
	r, err := audit.Find(ctx, c.Audit, c.r.PathValue("id"))
	if err != nil {
		return Refusal{}, err
	}
	out, err := c.explained(&r)
	if err != nil {
		return out, err
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
		return Refusal{}, cache.ErrNotExist // its id was given to nobody
	}
	return out, nil
}

// explained describes a decision, but for its sentence.
func (c *call) explained(r *audit.Record) (Refusal, error) {
	out := Refusal{
		ID: r.DecisionID, Since: r.Time, Action: r.Action, Call: r.Resource.ID, Format: r.Resource.Format, Package: r.Resource.Package,
		Version: r.Resource.Version, Status: r.Status, Rule: r.Reason.RuleID, Scopes: r.Reason.Scope, Newest: r.After["newest"],
	}
	if text := r.After["opens"]; text != "" {
		var err error
		if out.Opens, err = time.Parse(time.RFC3339, text); err != nil {
			return out, fmt.Errorf("decision %s: %w", r.DecisionID, err)
		}
	}
	if out.Format != "" && out.Package != "" {
		out.Purl = purl.Purl{Format: out.Format, Name: out.Package, Version: out.Version}.String()
	}
	if out.Rule != "" {
		out.Remedy = c.remedy(&out)
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

// auditQuery is also the answer that it selects: records, one line each, as they
// are hashed. An error becomes the last line.
type auditQuery struct {
	Since time.Time `query:"since" doc:"Only records from this time on."`
	After uint64    `query:"after" default:"0" doc:"Only records behind this sequence number."`
	Limit uint64    `query:"limit" default:"0" doc:"Most records; 0 is all."`
}

func (c *call) exportAudit(q auditQuery, _ none) (auditQuery, error) { return q, nil }

func (auditQuery) replies() []reply {
	return []reply{{http.StatusOK, ndjson, reflect.TypeFor[audit.Record]()}}
}

func (q auditQuery) send(c *call) error {
	c.streams()
	if c.r.Method != http.MethodHead {
		q.write(c)
	}
	return nil
}

func (q auditQuery) write(c *call) {
	n := uint64(0)
	for r, err := range audit.Export(c.r.Context(), c.Audit, q.After, audit.Filter{Since: q.Since}) {
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
		if n++; n == q.Limit {
			return
		}
	}
}

func (c *call) verifyAudit(none, none) (lines, error) {
	return func(func(Line)) (Line, error) {
		report, err := audit.Verify(c.r.Context(), c.Audit)
		return Line{Audit: &report}, err
	}, nil
}
