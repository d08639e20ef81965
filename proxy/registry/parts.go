package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"larder/formats"
	"larder/policy"
	"larder/policy/rules"
)

// Composer is implemented by formats of which some files belong to no version by
// themselves: rules are asked about those that refer to them. A digest in the
// name of a file is that of its bytes.
type Composer interface {
	// Part reports whether a file, as File.Name has it, is such a one.
	Part(file string) bool
	// Whole is what the names of those of a package's files begin with that have a
	// version, which follows.
	Whole(pkg string) string
	// Refers reads such a file, as File.Check does.
	Refers(pkg string, src io.Reader, mediaType string) (formats.FileFacts, error)
}

// Limits of what is remembered of files that refer to others.
const (
	knownParts   = 32 << 10 // files that are referred to
	knownOwners  = 8        // that refer to one of them, the latest
	maxJudgments = 64       // of those, for one file
)

// part is a file of an upstream.
type part struct{ upstream, file string }

// owner refers to a file: another one, or a pointer.
type owner struct {
	file    string // "" for a pointer
	version string // of the file, or the name of the pointer
	pkg     string // of a pointer
	digest  string
	fetched time.Time
}

func (o owner) same(other owner) bool {
	return o.file == other.file && o.version == other.version && o.pkg == other.pkg
}

// parts remembers what refers to files. It is filled as manifests are used,
// which most clients ask for before they ask for what they name, and from those
// that are held (learn.go).
type parts struct {
	known *lru.Cache[part, []owner]
	noted atomic.Uint64 // moves with every note
	mu    sync.Mutex    // of changes
}

func (p *parts) of(id, file string) []owner {
	list, _ := p.known.Get(part{id, file})
	return list
}

// note remembers that o refers to a file.
func (p *parts) note(id, file string, o owner) {
	if slices.ContainsFunc(p.of(id, file), o.same) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	list := append([]owner{o}, p.of(id, file)...)
	p.known.Add(part{id, file}, list[:min(len(list), knownOwners)])
	p.noted.Add(1)
}

// named says that a file of the same package refers to this one, so that the
// upstream is known to have it there.
func (p *parts) named(id, file string) bool {
	return slices.ContainsFunc(p.of(id, file), func(o owner) bool { return o.file != "" })
}

// noteParts remembers what a file that is used refers to.
func (e *Engine) noteParts(ctx context.Context, q query, f formats.File, rec *fileRecord) error {
	if f.Check == nil {
		return nil
	}
	id, o := q.source.ID, owner{file: f.Name, version: rec.Version, digest: rec.Digest.String(), fetched: rec.Fetched}
	needs, mark := rec.Needs, f.Name+" read"
	if rec.Long {
		if slices.ContainsFunc(e.parts.of(id, mark), o.same) {
			return nil
		}
		facts, err := examine(f, func() (io.ReadSeekCloser, error) { return e.opt.Store.Open(ctx, rec.Digest) }, rec.MediaType)
		if err != nil {
			return fmt.Errorf("what %s refers to: %w", f.Name, err)
		}
		needs = facts.Needs
		e.parts.note(id, mark, o)
	}
	for _, name := range needs {
		e.parts.note(id, name, o)
	}
	return nil
}

// isPart says that a file is judged by what refers to it.
func (q query) isPart(f formats.File) bool {
	c, ok := q.registry.spec.Format.(Composer)
	return ok && c.Part(f.Name)
}

// judging is one question to the rules about files that refer to each other.
type judging struct {
	*Engine
	query
	asked
	left int // judgments that may still be made
}

func (e *Engine) judging(q query, a asked) *judging { return &judging{e, q, a, maxJudgments} }

// part judges a file by those that refer to it: one that may be used is enough.
// Without any, nothing is given away that a rule may be about.
func (j *judging) part(ctx context.Context, file string) error {
	out := j.Check(rules.Facts{}, j.now())
	switch {
	case out.Refused:
		return refusal(out.Finding, "", "")
	case !out.Undecided:
		return nil
	}
	err := policy.Decision{Verdict: policy.Deny, Reason: fmt.Sprintf(
		"rules are about versions of %s, and it is not known of which one this is a part: pull the image by its manifest first", j.name)}.Err()
	for _, o := range j.parts.of(j.source.ID, file) {
		if o.file == "" {
			continue
		}
		if err = j.owner(ctx, o); !isRefusal(err) {
			return err
		}
	}
	return err
}

// owner judges a file that refers to others.
func (j *judging) owner(ctx context.Context, o owner) error {
	return j.whole(ctx, o.file, rules.Facts{Version: o.version, Digest: o.digest, FirstSeen: o.fetched})
}

// whole judges a file with a version: by that, by the pointers that lead to it,
// and, unless it is denied itself, by what refers to it. Whoever may use an image
// may use all of it.
func (j *judging) whole(ctx context.Context, file string, facts rules.Facts) error {
	if j.left--; j.left < 0 {
		return policy.Decision{Verdict: policy.Deny, Reason: "too many other files refer to " + file + " for the rules to be asked about all"}.Err()
	}
	if err := j.age(ctx, &facts); err != nil {
		return err
	}
	err := j.judge(ctx, j.query, j.asked, facts)
	if !isRefusal(err) {
		return err
	}
	for _, name := range j.pointers(file) {
		by := facts
		by.Version = name
		if out := j.Check(by, j.now()); !out.Refused && !out.Undecided {
			return nil
		}
	}
	if j.denied(err) {
		return err
	}
	for _, o := range j.parts.of(j.source.ID, file) {
		if o.file == "" {
			continue
		}
		if by := j.owner(ctx, o); !isRefusal(by) {
			return by
		}
	}
	return err
}

// age fills in when a version was first seen, where a rule asks: when it was
// noted, or fetched, whichever came first.
func (j *judging) age(ctx context.Context, facts *rules.Facts) error {
	if !facts.Published.IsZero() || facts.Version == "" || !j.NeedsTime(j.now()) {
		return nil
	}
	seen, err := j.seenVersions(ctx, j.source.ID, j.name, []string{facts.Version})
	if at := seen[facts.Version]; facts.FirstSeen.IsZero() || at.Before(facts.FirstSeen) {
		facts.FirstSeen = at
	}
	return err
}

// pointers are the names that lead to a file, also by way of others.
func (j *judging) pointers(file string) []string {
	var names []string
	files := []string{file}
	for i := 0; i < len(files); i++ {
		for _, o := range j.parts.of(j.source.ID, files[i]) {
			switch {
			case o.file == "":
				names = append(names, o.version)
			case len(files) < maxJudgments && !slices.Contains(files, o.file):
				files = append(files, o.file)
			}
		}
	}
	return names
}

// denied says that a refusal is about these very bytes, or this very name.
func (j *judging) denied(err error) bool {
	var r *policy.Refusal
	if !errors.As(err, &r) {
		return false
	}
	rule, ok := j.set.Rule(r.Decision.Rule)
	return !ok || rule.Kind == rules.Deny
}

func isRefusal(err error) bool {
	var r *policy.Refusal
	return errors.As(err, &r)
}
