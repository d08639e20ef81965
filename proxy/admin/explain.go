package admin

import (
	"context"
	"errors"

	"larder/formats"
	"larder/policy"
	"larder/policy/purl"
	"larder/policy/rules"
)

// Explanation says what larder does with a name for one caller, and why.
type Explanation struct {
	Purl     string `json:"purl"`
	Caller   string `json:"caller"`   // "" for the anonymous
	Registry string `json:"registry"` // the registry looked at
	// Source says where the package would come from: hosted, claimed (ours, and
	// not published yet), deleted (its name stays reserved), upstream, or none.
	Source     string            `json:"source,omitempty"`
	Claim      string            `json:"claim,omitempty"`
	Repository string            `json:"repository,omitempty"`
	Visibility policy.Visibility `json:"visibility,omitempty"`
	Upstreams  []string          `json:"upstreams,omitempty"` // asked in this order
	Read       Verdict           `json:"read"`
	Publish    Verdict           `json:"publish"`
	// Version says whether the rules let it be used, Rules what each of them
	// says. Both are left out for who may not read the name.
	Version *Verdict        `json:"version,omitempty"`
	Newest  string          `json:"newest_allowed,omitempty"`
	Rules   []rules.Finding `json:"rules,omitempty"`
}

// Verdict is one answer of policy.
type Verdict struct {
	Allowed bool `json:"allowed"`
	// Reason is why not, and what to do; or on what the permission depends.
	Reason string `json:"reason,omitempty"`
}

// explain tells the facts of a name only to those who may read it: for others
// the answer is that of a name that does not exist. Query: purl, registry.
func (c *call) explain() (any, error) {
	which, err := c.purl()
	if err != nil {
		return nil, err
	}
	reg, err := c.named(c.r.URL.Query().Get("registry"), which.Format)
	if err != nil {
		return nil, err
	}
	ctx := c.r.Context()
	out := Explanation{Purl: which.String(), Caller: c.caller.User, Registry: reg.Mount.Name()}
	req := formats.Request{Package: which.Name, Version: which.Version, Action: policy.Read}
	res, err := reg.Mount.Resource(ctx, "", req)
	if err != nil {
		return nil, hide(err)
	}
	decision := c.Directory.Authorize(ctx, c.caller, policy.Read, res)
	if decision.Verdict == policy.Hide && res.Claim == "" {
		// A name that nobody claims would come from an upstream if it were not here.
		res = policy.Resource{Format: res.Format, Registry: res.Registry, Package: res.Package, Version: res.Version, Visibility: policy.Public}
		decision = c.Directory.Authorize(ctx, c.caller, policy.Read, res)
	}
	if out.Read = verdict(decision); out.Read.Allowed {
		out.Source, out.Claim, out.Repository, out.Visibility = source(reg, res), res.Claim, res.Repository, res.Visibility
		if out.Source == "upstream" {
			out.Upstreams = reg.Upstreams
		}
		if err := out.ask(ctx, reg, which); err != nil {
			return nil, hide(err)
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
