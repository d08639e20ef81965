package directory

import (
	"context"
	"strings"
	"time"

	"larder/cache"
	"larder/policy"
	"larder/policy/audit"
)

// record appends what a change did to the audit log, inside its transaction.
func (d *Directory) record(ctx context.Context, w cache.Writer, actor policy.Subject, r audit.Record) error {
	r.Decision = audit.Allow
	if r.Actor.Kind == "" {
		r.Actor = audit.ActorOf(actor)
	}
	return audit.Chain{Clock: d.opt.Clock}.Append(ctx, w, r)
}

func roleState(r policy.Role) audit.State { return audit.State{"role": r.String()} }

// tokenState is what is recorded of a token: all but its secret.
func tokenState(t Token) audit.State {
	s := audit.State{"user": t.User, "scopes": policy.JoinScopes(t.Scopes), "expires": "never", "last4": t.Last4}
	if !t.Expires.IsZero() {
		s["expires"] = t.Expires.UTC().Format(time.RFC3339)
	}
	if t.Name != "" {
		s["name"] = t.Name
	}
	return s
}

func claimState(c policy.Claim) audit.State {
	s := audit.State{"match": strings.Join(c.Match, " "), "repository": c.Repository}
	if len(c.Formats) > 0 {
		s["formats"] = strings.Join(c.Formats, " ")
	}
	return s
}
