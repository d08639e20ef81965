package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"larder/policy"
	"larder/policy/audit"
)

// Refusals keeps who was refused what; audit.Log is the real one.
type Refusals interface {
	// Refused records a refusal and returns the id of its decision, which is that
	// of the first one where this repeats it. Unless the status is 404 it returns
	// when the record is durable, or with an error when it is not.
	Refused(ctx context.Context, r audit.Record) (id string, err error)
}

// Denial is a refusal as it is recorded.
type Denial struct {
	Err      error
	Status   int
	Sentence string // that the client is told
	Action   policy.Action
	Resource audit.Resource
}

// named says whether the client is told the id. What is hidden has none to
// show, for then it could be told from what is missing.
func (d *Denial) named() bool {
	switch d.Status {
	case http.StatusUnauthorized:
		return !errors.Is(d.Err, policy.ErrNotSignedIn)
	case http.StatusForbidden, http.StatusTooManyRequests:
		return true
	}
	return false
}

// hidden says that policy made a thing look as if it were missing.
func (d *Denial) hidden() bool {
	return d.Status == http.StatusNotFound && errors.Is(d.Err, policy.ErrHidden)
}

// record is what the log keeps of the refusal.
func (d *Denial) record() audit.Record {
	r := audit.Record{
		Action: string(d.Action), Resource: d.Resource, Status: d.Status, DecisionID: audit.NewDecisionID(),
		Reason: audit.Reason{Sentence: d.Sentence},
	}
	switch {
	case r.Action != "":
	case d.Status == http.StatusUnauthorized, d.Status == http.StatusTooManyRequests:
		r.Action = "authenticate"
	default:
		r.Action = "request"
	}
	if d.Status == http.StatusTooManyRequests {
		r.Reason.Limit = "attempts"
	}
	var refusal *policy.Refusal
	if errors.As(d.Err, &refusal) {
		decision := refusal.Decision
		r.Reason.RuleID, r.Reason.Scope = decision.Rule, policy.JoinScopes(decision.Accepted)
		if decision.Needs != policy.RoleNone {
			r.Reason.Role = decision.Needs.String()
		}
		if decision.TokenID != "" {
			r.Resource.ID = decision.TokenID
		}
		if decision.Limited {
			r.Reason.Limit = "token"
		}
		if decision.Version != "" {
			r.Resource.Version = decision.Version
		}
		r.After = opening(decision)
	}
	return r
}

// opening is what is left to whoever a rule refused.
func opening(d policy.Decision) audit.State {
	s := audit.State{}
	if !d.Opens.IsZero() {
		s["opens"] = d.Opens.UTC().Format(time.RFC3339)
	}
	if d.Newest != "" {
		s["newest"] = d.Newest
	}
	return s
}

// refused records a denial; its id is then that of the exchange.
func (x *exchange) refused(d Denial) {
	r := d.record()
	id := r.DecisionID
	if x.edge.Refusals != nil {
		kept, err := x.edge.Refusals.Refused(x.audited(x.r.Context()), r)
		if kept != "" {
			id = kept
		}
		if err != nil {
			x.err = errors.Join(x.err, fmt.Errorf("record the refusal: %w", err))
		}
	}
	if d.named() {
		x.decision = id
	}
}

// audited is a context that says who asked, for records of what is done in it.
func (x *exchange) audited(ctx context.Context) context.Context {
	return audit.With(ctx, audit.Origin{
		RequestID: x.id, IP: x.remote, UserAgent: x.r.UserAgent(), Via: via(x.r.Header), Actor: audit.ActorOf(x.caller),
	})
}

// via says how a credential came, "" for none.
func via(h http.Header) string {
	scheme, _, _ := strings.Cut(h.Get("Authorization"), " ")
	switch {
	case strings.EqualFold(scheme, "basic"):
		return "basic"
	case scheme != "":
		return "bearer"
	case h.Get("X-Nuget-Apikey") != "":
		return "key"
	}
	return ""
}

// changes says whether a request may leave a record of a change behind: all but
// reads, and what is open to everybody and asks for facts only.
func (x *exchange) changes() bool {
	read := x.r.Method == http.MethodGet || x.r.Method == http.MethodHead
	return x.req.Action != policy.Read && (x.req.Action != policy.Open || !read)
}
