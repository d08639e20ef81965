package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy"
	"larder/policy/rules"
)

// maxFormer is how many versions are remembered that a pointer stood for before.
const maxFormer = 8

// former is a version that a pointer stood for, and when it was last seen so.
type former struct {
	Version string    `json:"version"`
	Last    time.Time `json:"last"`
}

// moved returns the former versions of a pointer that leaves the held one, the
// latest first. Where they are too many that one goes whose neighbours are nearest
// in time, so that a pointer which moves often keeps old ones too.
func moved(held *pointerRecord, to string) []former {
	if held == nil {
		return nil
	}
	if held.Version == to {
		return held.Former
	}
	list := []former{{held.Version, held.Checked}}
	for _, f := range held.Former {
		if f.Version != held.Version && f.Version != to {
			list = append(list, f)
		}
	}
	if len(list) <= maxFormer {
		return list
	}
	at := 1
	for i := 2; i < len(list)-1; i++ {
		if span(list, i) < span(list, at) {
			at = i
		}
	}
	return slices.Delete(list, at, at+1)
}

// span is the time between the neighbours of an entry.
func span(list []former, i int) time.Duration { return list[i-1].Last.Sub(list[i+1].Last) }

// repaired is what a pointer stands for where rules about age refuse what it moved
// to: the newest version that is held, and that they leave. Without one it is err.
func (e *Engine) repaired(ctx context.Context, q query, p formats.Pointer, at pointed, err error) (pointed, error) {
	refused, ok := e.waits(err)
	if !ok {
		return at, err
	}
	for _, f := range at.Former {
		file := p.File(f.Version)
		rec, missing := e.record(ctx, upstreamFileKey(q.source.ID, file.Name))
		if errors.Is(missing, cache.ErrNotExist) {
			continue
		}
		if missing != nil {
			return at, missing
		}
		switch permitted := e.permitPointer(ctx, q, p, f.Version); {
		case permitted == nil:
			next := *at.pointerRecord
			next.Version, next.MediaType, next.Size = f.Version, rec.mediaType(file), rec.Size
			at.pointerRecord, at.instead = &next, instead(refused)
			return at, nil
		case !isRefusal(permitted):
			return at, permitted
		}
	}
	return at, err
}

// waits returns the decision of a refusal that is about age.
func (e *Engine) waits(err error) (policy.Decision, bool) {
	var r *policy.Refusal
	set := e.opt.Rules()
	if set == nil || !errors.As(err, &r) {
		return policy.Decision{}, false
	}
	rule, ok := set.Rule(r.Decision.Rule)
	return r.Decision, ok && (rule.Kind == rules.Cooldown || rule.Kind == rules.Freeze)
}

// instead tells clients that they get an older version, and why.
func instead(d policy.Decision) http.Header {
	return http.Header{
		"Warning":         {fmt.Sprintf("299 - %q", "moved to a version that rule "+d.Rule+" holds back: this is the newest older one")},
		"X-Larder-Policy": {d.Rule},
	}
}
