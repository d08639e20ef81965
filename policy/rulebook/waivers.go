package rulebook

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"larder/cache"
	"larder/policy"
	"larder/policy/audit"
	"larder/policy/purl"
	"larder/policy/rules"
)

// Source is where a rule or waiver stands.
type Source string

// The sources.
const (
	BuiltIn Source = "built-in"
	Config  Source = "config"
	API     Source = "api"
)

// Waiver is a waiver as administrators are shown it.
type Waiver struct {
	ID     string    `json:"id" doc:"Id of the waiver."`
	Source Source    `json:"source" doc:"Where it stands."`
	Rule   string    `json:"rule" doc:"Id of the rule."`
	Match  []string  `json:"match" doc:"Patterns of package URLs."`
	By     string    `json:"by" doc:"Who gave it."`
	Why    string    `json:"why" doc:"Why."`
	Since  time.Time `json:"since,omitzero" doc:"When it was given; absent for those of the configuration."`
	Until  time.Time `json:"until" doc:"When it ends."`
	Idle   string    `json:"without_effect,omitempty" doc:"Why it has no effect now; absent where it has."`
}

// Waivers lists all waivers, those of the configuration first, each kind by its
// end.
func (b *Book) Waivers(actor policy.Subject) ([]Waiver, error) {
	if err := policy.MustAdminister(actor); err != nil {
		return nil, err
	}
	s := b.now.Load()
	var list []Waiver
	for _, w := range s.written {
		list = append(list, b.shown(s, given{Waiver: w}, Config, nil))
	}
	for i, g := range s.given {
		list = append(list, b.shown(s, g, API, s.idle[i]))
	}
	slices.SortStableFunc(list, func(x, y Waiver) int {
		if x.Source != y.Source {
			return strings.Compare(string(y.Source), string(x.Source))
		}
		return x.Until.Compare(y.Until)
	})
	return list, nil
}

// shown describes a waiver; wrong is what its rule's absence makes wrong with it.
func (b *Book) shown(s *state, g given, from Source, wrong error) Waiver {
	w := Waiver{ID: g.ID, Source: from, Rule: g.Rule, Match: g.Match, By: g.By, Why: g.Why, Since: g.Since, Until: g.Until}
	now := b.opt.Clock()
	switch r, ok := s.set.Rule(g.Rule); {
	case wrong != nil && !ok:
		w.Idle = "there is no rule " + g.Rule + " any more"
	case wrong != nil:
		w.Idle = "the rule " + g.Rule + " has changed: " + wrong.Error()
	case !now.Before(g.Until):
		w.Idle = "it has ended"
	case r.Mode == "off":
		w.Idle = "the rule " + g.Rule + " is off"
	case !r.Expires.IsZero() && !now.Before(r.Expires):
		w.Idle = "the rule " + g.Rule + " has ended"
	}
	return w
}

// Waive lets versions pass a rule from now on: w says which rule, which
// patterns, until when and why; ID and By are not looked at. For
// administrators. Errors: policy.ErrInvalid, policy.ErrConflict for one too many.
func (b *Book) Waive(ctx context.Context, actor policy.Subject, w rules.Waiver) (Waiver, error) {
	if err := policy.MustAdminister(actor); err != nil {
		return Waiver{}, err
	}
	g := given{Waiver: w, Since: b.opt.Clock().UTC()}
	g.ID, g.By, g.Until = newID(), actor.User, w.Until.UTC()
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.admit(g); err != nil {
		return Waiver{}, err
	}
	row, err := g.encode()
	if err != nil {
		return Waiver{}, err
	}
	if len(row) > cache.MaxValue {
		return Waiver{}, policy.Faultf(policy.ErrInvalid, "the waiver takes %d bytes, at most %d: name fewer packages", len(row), cache.MaxValue)
	}
	old := b.now.Load()
	next := *old
	next.given = append(slices.Clone(old.given), g)
	slices.SortFunc(next.given, byID)
	made, err := b.compile(next)
	if err != nil {
		return Waiver{}, err
	}
	err = b.commit(ctx, func(w cache.Writer) error {
		if err := w.Put(givenKey(g.ID), row); err != nil {
			return err
		}
		return b.record(ctx, w, actor, deed{"waiver.add", g, nil, stateOf(g)})
	})
	if err != nil {
		return Waiver{}, fmt.Errorf("keep waiver: %w", err)
	}
	b.now.Store(made)
	return b.shown(made, g, API, nil), nil
}

// admit checks a waiver before it is given.
func (b *Book) admit(g given) error {
	s := b.now.Load()
	now := b.opt.Clock()
	switch {
	case g.Until.IsZero():
		return policy.Faultf(policy.ErrInvalid, "until is missing: a waiver has an end, such as %s", now.Add(7*24*time.Hour).UTC().Format(time.DateOnly))
	case !g.Until.After(now):
		return policy.Faultf(policy.ErrInvalid, "until is %s, which is over", g.Until.Format(time.RFC3339))
	case g.Until.Sub(now) > MaxAhead:
		return policy.Faultf(policy.ErrInvalid, "until is more than %d days ahead: give an earlier end, or write an exempt into the rule", MaxAhead/(24*time.Hour))
	case len(g.Match) > MaxPatterns:
		return policy.Faultf(policy.ErrInvalid, "match holds %d patterns, at most %d", len(g.Match), MaxPatterns)
	}
	if err := rules.CheckWaivers(s.rules, []rules.Waiver{g.Waiver}, b.opt.Compare)[0]; err != nil {
		lines := strings.Split(err.Error(), "\n")
		return policy.Faultf(policy.ErrInvalid, "%s", strings.Join(lines[:min(len(lines), 3)], "; "))
	}
	if len(s.given) >= MaxWaivers {
		return policy.Faultf(policy.ErrConflict, "there are %d waivers already, which is the limit: end some, or write exempts into the rules", MaxWaivers)
	}
	return nil
}

// Unwaive ends a waiver now. For administrators. Errors: policy.ErrConflict for
// one of the configuration, cache.ErrNotExist.
func (b *Book) Unwaive(ctx context.Context, actor policy.Subject, id string) error {
	if err := policy.MustAdminister(actor); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.now.Load()
	if slices.ContainsFunc(s.written, func(w rules.Waiver) bool { return w.ID == id }) {
		return policy.Faultf(policy.ErrConflict, "the waiver %s is in the config file: remove it there and reload", id)
	}
	at := slices.IndexFunc(s.given, func(g given) bool { return g.ID == id })
	if at < 0 {
		return policy.Faultf(cache.ErrNotExist, "there is no waiver %.80s", id)
	}
	g := s.given[at]
	return b.drop(ctx, s.given[at:at+1], func(w cache.Writer) error {
		return b.record(ctx, w, actor, deed{"waiver.remove", g, stateOf(g), nil})
	})
}

// drop takes waivers out, and records it. The caller holds the lock.
func (b *Book) drop(ctx context.Context, gone []given, record func(w cache.Writer) error) error {
	next := *b.now.Load()
	next.given = slices.DeleteFunc(slices.Clone(next.given), func(g given) bool {
		return slices.ContainsFunc(gone, func(o given) bool { return o.ID == g.ID })
	})
	made, err := b.compile(next)
	if err != nil {
		return err
	}
	err = b.commit(ctx, func(w cache.Writer) error {
		for _, g := range gone {
			if err := w.Delete(givenKey(g.ID)); err != nil {
				return err
			}
		}
		return record(w)
	})
	if err != nil {
		return fmt.Errorf("drop waiver: %w", err)
	}
	b.now.Store(made)
	return nil
}

// commit runs a change to its end: whoever began it may be gone, and a commit
// whose outcome is unknown would leave memory and Index apart.
func (b *Book) commit(ctx context.Context, fn func(w cache.Writer) error) error {
	return b.index.Update(context.WithoutCancel(ctx), fn)
}

// deed is one change of a waiver.
type deed struct {
	action        string
	on            given
	before, after audit.State
}

func (b *Book) record(ctx context.Context, w cache.Writer, actor policy.Subject, d deed) error {
	r := audit.Record{
		Action: d.action, Decision: audit.Allow, Actor: audit.ActorOf(actor), Resource: audit.Resource{ID: d.on.ID},
		Reason: audit.Reason{RuleID: d.on.Rule}, Before: d.before, After: d.after,
	}
	if actor.Anonymous() {
		r.Actor = audit.Actor{Kind: audit.System}
	}
	if p, err := purl.ParsePattern(d.on.Match[0]); err == nil && len(d.on.Match) == 1 {
		r.Resource.Format, r.Resource.Package = p.Format(), p.Name()
	}
	return audit.Chain{Clock: b.opt.Clock}.Append(ctx, w, r)
}

// stateOf is what is recorded of a waiver.
func stateOf(g given) audit.State {
	return audit.State{"match": strings.Join(g.Match, " "), "until": g.Until.Format(time.RFC3339), "why": g.Why, "by": g.By}
}

// newID returns 10 characters that a person can type.
func newID() string { return strings.ToLower(rand.Text()[:10]) }

// named gives waivers of the configuration ids that stay while they do.
func named(list []rules.Waiver) []rules.Waiver {
	list = slices.Clone(list)
	for i, w := range list {
		text := strings.Join(append([]string{w.Rule, w.By, w.Why, w.Until.UTC().Format(time.RFC3339Nano)}, w.Match...), "\x00")
		sum := sha256.Sum256([]byte(text))
		list[i].ID = "config-" + hex.EncodeToString(sum[:4])
	}
	return list
}

func byID(x, y given) int { return strings.Compare(x.ID, y.ID) }
