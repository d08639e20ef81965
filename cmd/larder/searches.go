package main

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"larder/cmd/larder/config"
	"larder/upstream/discover"
)

// start looks for the addresses that no one configured, beside the start: of each
// format by itself, so that nobody waits for the slow client of another one.
func (u *upstreams) start(ctx context.Context, self string) {
	for format, over := range u.searches {
		go func() {
			late := u.look(ctx, format, self, 0)
			close(over)
			for late {
				select {
				case <-time.After(askAgain):
				case <-ctx.Done():
					return
				}
				late = u.look(ctx, format, self, patience)
			}
		}()
	}
}

// settled waits until the addresses of upstreams of these formats are known.
func (u *upstreams) settled(ctx context.Context, formats ...string) error {
	for _, format := range formats {
		over := u.searches[format]
		if over == nil {
			continue
		}
		select {
		case <-over:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// searching reports whether the addresses of a format are looked for yet.
func (u *upstreams) searching(format string) bool {
	over := u.searches[format]
	if over == nil {
		return false
	}
	select {
	case <-over:
		return false
	default:
		return true
	}
}

// sought lists the formats of those upstreams whose address nobody has written down.
func (u *upstreams) sought(ids ...string) []string {
	u.mu.RLock()
	defer u.mu.RUnlock()
	var list []string
	for _, id := range ids {
		if c := u.cfg.Upstreams[id]; c.URL.Reveal() == config.Auto {
			list = append(list, c.Format)
		}
	}
	return list
}

// A client that did not answer (npm on a cold disk takes seconds) is asked again
// after askAgain, and then has patience to answer in.
const (
	askAgain = time.Second
	patience = time.Minute
)

// look searches for a format, and reports whether its client did not answer in
// time. What needs its upstreams is told to try again: without an answer nobody
// knows that there is none.
func (u *upstreams) look(ctx context.Context, format, self string, timeout time.Duration) (late bool) {
	u.mu.RLock()
	cfg := u.cfg
	u.mu.RUnlock()
	all := u.search(ctx, cfg, discover.Options{Formats: []string{format}, Self: []string{self, cfg.Listen}, Timeout: timeout})
	u.mu.Lock()
	for _, f := range all {
		if _, ok := u.found[format]; !ok && f.URL != "" {
			u.found[format] = f
			u.log.Info().Str("format", format).Str("upstream", f.URL).Str("from", f.Source).Msg("upstream found")
		}
		late = late || f.Unanswered
	}
	if _, ok := u.found[format]; ok {
		late = false
	} else if late {
		u.log.Warn().Str("format", format).Msg("the package client of this machine has not said in time where it goes: it is asked again")
	} else {
		u.log.Warn().Str("format", format).Msg(noUpstream(format))
	}
	u.late[format] = late
	cfg = u.cfg
	u.mu.Unlock()
	if err := u.build(cfg); err != nil {
		u.log.Error().Err(err).Msg("an upstream that was found cannot be used")
	}
	return late
}

// search takes what is remembered of a format, or asks; timeout 0 is that of discover.
func (u *upstreams) search(ctx context.Context, cfg *config.Loaded, o discover.Options) []discover.Found {
	file, format := filepath.Join(cfg.Data, "upstreams.json"), o.Formats[0]
	if known, _ := u.remembered(file); complete(known[format]) {
		return known[format]
	}
	if cfg.PublicURL != "" {
		o.Self = append(o.Self, cfg.PublicURL)
	}
	found := discover.Find(ctx, o)
	u.saving.Lock()
	defer u.saving.Unlock()
	known, at := u.remembered(file)
	known[format] = found
	var all []discover.Found
	for _, format := range discover.Formats() {
		all = append(all, known[format]...)
	}
	if err := discover.Save(file, all, at); err != nil {
		u.log.Warn().Err(err).Msg("the upstreams found will be looked for again at the next start")
	}
	return found
}

// remembered is what searches found that is not too old, by format, and when the
// first of them did; now where there is nothing.
func (u *upstreams) remembered(file string) (known map[string][]discover.Found, at time.Time) {
	now := u.clock()
	all, at, err := discover.Load(file)
	if err != nil || now.Sub(at) >= rememberFor {
		all, at = nil, now // whatever cannot be read is searched for
	}
	known = map[string][]discover.Found{}
	for _, f := range all {
		known[f.Format] = append(known[f.Format], f)
	}
	return known, at
}

// complete reports whether what is remembered of a format answers for it, without
// the credentials that are never written down.
func complete(known []discover.Found) bool {
	return slices.ContainsFunc(known, func(f discover.Found) bool { return f.URL != "" }) &&
		!slices.ContainsFunc(known, func(f discover.Found) bool { return f.Secret })
}
