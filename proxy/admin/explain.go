package admin

import (
	"context"
	"errors"
	"strings"

	"larder/formats"
	"larder/policy"
	"larder/policy/purl"
	"larder/policy/rules"
)

// Explanation says what larder does with a name for one caller, and why.
type Explanation struct {
	Purl       string            `json:"purl" doc:"What was asked about."`
	Caller     string            `json:"caller" doc:"User whom it is about; empty for the anonymous."`
	Registry   string            `json:"registry" doc:"The registry looked at."`
	Source     string            `json:"source,omitempty" enum:"hosted,claimed,deleted,upstream,none" doc:"Where the package would come from. Claimed: ours, and not published yet. Deleted: its name stays reserved. This and what follows is left out for who may not read the name."`
	Claim      string            `json:"claim,omitempty" doc:"Id of the claim that covers the name."`
	Repository string            `json:"repository,omitempty" doc:"Where it is or would be, OWNER/NAME."`
	Visibility policy.Visibility `json:"visibility,omitempty" doc:"Who may read it without a role."`
	Upstreams  []string          `json:"upstreams,omitempty" doc:"Ids of the upstreams, in the order in which they are asked."`
	Read       Verdict           `json:"read" doc:"Whether the caller may read it."`
	Publish    Verdict           `json:"publish" doc:"Whether the caller may publish it."`
	Version    *Verdict          `json:"version,omitempty" doc:"Whether the rules let the version be used."`
	Newest     string            `json:"newest_allowed,omitempty" doc:"Newest version that the rules let be used."`
	Rules      []rules.Finding   `json:"rules,omitempty" doc:"What each rule says."`
}

// Verdict is one answer of policy.
type Verdict struct {
	Allowed bool   `json:"allowed" doc:"Whether it is."`
	Reason  string `json:"reason,omitempty" doc:"Why not, and what to do; or on what the permission depends."`
}

type explainQuery struct {
	purlQuery
	Registry string `query:"registry" doc:"Name of the registry; without it the mirror that the name begins with, else the first one of the format."`
}

// explain tells the facts of a name only to those who may read it: for others
// the answer is that of a name that does not exist.
func (c *call) explain(q explainQuery, _ none) (Explanation, error) {
	which, err := c.purl()
	if err != nil {
		return Explanation{}, err
	}
	asked := which.String()
	if q.Registry == "" {
		q.Registry, which.Name = c.mirrored(which)
	}
	reg, err := c.named(q.Registry, which.Format)
	if err != nil {
		return Explanation{}, err
	}
	ctx := c.r.Context()
	out := Explanation{Purl: asked, Caller: c.caller.User, Registry: reg.Mount.Name()}
	req := formats.Request{Package: which.Name, Version: which.Version, Action: policy.Read}
	shown := reg
	res, decision, err := c.mayRead(shown, req)
	if err == nil && decision.Verdict == policy.Hide && reg.Empty != nil {
		shown.Mount, shown.Explain = reg.Empty.Mount, reg.Empty.Explain
		res, decision, err = c.mayRead(shown, req)
	}
	if err != nil {
		return Explanation{}, hide(err)
	}
	if out.Read = verdict(decision); out.Read.Allowed {
		out.Source, out.Claim, out.Repository, out.Visibility = source(shown, res), res.Claim, res.Repository, res.Visibility
		if out.Source == "upstream" {
			out.Upstreams = reg.Upstreams
		}
		if err := out.ask(ctx, shown, which); err != nil {
			return Explanation{}, hide(err)
		}
	}
	req.Action = policy.Publish
	out.Publish, err = c.mayPublish(reg, req)
	if out.Publish.Allowed && out.Source == "upstream" {
		// Whether one has it is asked by a publish, not by a question about it.
		out.Publish.Reason = "unless an upstream has the name: then it takes a claim"
	}
	return out, err
}

// ask adds what the rules say.
func (e *Explanation) ask(ctx context.Context, reg Registry, which purl.Purl) error {
	if reg.Explain == nil {
		return nil
	}
	found, err := reg.Explain(ctx, which.Name, which.Version)
	if err != nil {
		return err
	}
	e.Rules, e.Newest = found.Findings, found.Newest
	switch {
	case found.Refused:
		e.Version = &Verdict{Reason: found.Reason}
	case which.Version != "" && found.Held:
		e.Version = &Verdict{Allowed: true}
	}
	return nil
}

// mirrored finds the registry that a name begins with, as clients write what they
// want of a mirror, and the name there. "" and the whole name where there is none.
func (c *call) mirrored(which purl.Purl) (registry, name string) {
	for _, r := range c.Registries {
		rest, ok := strings.CutPrefix(which.Name, r.Mount.Name()+"/")
		if ok && rest != "" && r.Mount.Format().Name() == which.Format && strings.HasPrefix(r.Mount.Name(), "mirror/") {
			return r.Mount.Name(), rest
		}
	}
	return "", which.Name
}

// named finds a registry by name, or the first one of a format.
func (c *call) named(name, format string) (Registry, error) {
	for _, r := range c.Registries {
		if r.Mount.Format().Name() == format && (name == "" || r.Mount.Name() == name) {
			return r, nil
		}
	}
	return Registry{}, bad("there is no registry %sof the format %s on this server", spaced(name), format)
}

func spaced(s string) string {
	if s == "" {
		return ""
	}
	return s + " "
}

// mayRead asks about a read, and returns whose the name is.
func (c *call) mayRead(reg Registry, req formats.Request) (policy.Resource, policy.Decision, error) {
	res, err := reg.Mount.Resource(c.r.Context(), "", req)
	if err != nil {
		return res, policy.Decision{}, err
	}
	return res, c.Directory.Authorize(c.r.Context(), c.caller, policy.Read, res), nil
}

// mayPublish asks about a publish. A name without a home is a refusal too.
func (c *call) mayPublish(reg Registry, req formats.Request) (Verdict, error) {
	if !reg.Hosted {
		return Verdict{Reason: "this registry hosts no packages"}, nil
	}
	res, err := reg.Mount.Resource(c.r.Context(), "", req)
	var refusal *policy.Refusal
	if errors.As(err, &refusal) {
		return verdict(refusal.Decision), nil
	}
	if err != nil {
		return Verdict{}, hide(err)
	}
	return verdict(c.Directory.Authorize(c.r.Context(), c.caller, policy.Publish, res)), nil
}

func verdict(d policy.Decision) Verdict {
	err := d.Err()
	if err == nil {
		return Verdict{Allowed: true}
	}
	return Verdict{Reason: sentence(hide(err), err.Error())}
}

func source(r Registry, res policy.Resource) string {
	switch {
	case res.Hosted:
		return "hosted"
	case res.Claim != "":
		return "claimed"
	case res.Repository != "":
		return "deleted"
	case len(r.Upstreams) > 0:
		return "upstream"
	}
	return "none"
}
