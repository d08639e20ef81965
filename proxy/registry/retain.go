package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy"
)

// Keep is a rule about versions that no tag stands for: those that it lets go are
// retracted, so that they can be restored for a while.
type Keep struct {
	Match []string // patterns of package names; none: all
	// Untagged is how long a version stays after its last tag left it, or after it
	// was published if it never had one.
	Untagged time.Duration
	// Newest is how many of them stay all the same, per package. What those use is
	// not counted, and stays with them.
	Newest int
}

// Attacher is implemented by formats whose tags are rows of their own and whose
// versions may be about another one of their package, such as signatures: while
// that stays, they do. Other formats have no versions without a tag to let go.
type Attacher interface {
	// Subject returns the version that one is about, "" for none.
	Subject(r *formats.Release) string
}

// Retained is what Retain did, or with dry would do.
type Retained struct {
	Versions int
	Bytes    int64 // of their own files; what they alone used goes in its time
	// Named are the first hundred, as "package version".
	Named []string
}

const (
	maxRetained  = 100  // versions named
	retainPage   = 1000 // versions read in one transaction
	retainAtOnce = 20   // versions retracted in one transaction
	retainedWhy  = "retention of versions without a tag"
)

// rule is how one package is kept.
type rule struct {
	Keep
	aged   bool // versions without a tag go by Keep
	follow bool // those about another one go with it; see Spec.FollowSubject
}

// Retain retracts the versions that the registry's rules let go. It goes on where
// a single package fails, and returns what failed.
func (r *Registry) Retain(ctx context.Context, dry bool) (Retained, error) {
	var out Retained
	var errs []error
	if _, ok := r.spec.Format.(Attacher); !ok || !r.spec.Hosted || len(r.spec.Retention) == 0 && !r.spec.FollowSubject {
		return out, nil
	}
	for h, err := range r.heads(ctx, "") {
		if err != nil {
			return out, errors.Join(append(errs, err)...)
		}
		k := r.ruleFor(h.Name)
		if !k.aged && !k.follow || h.LastSeq == 0 || h.Released || !h.Deleted.IsZero() {
			continue
		}
		if err := r.retainPackage(ctx, h.Name, k, dry, &out); err != nil {
			errs = append(errs, fmt.Errorf("retention of %s: %w", h.Name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return out, errors.Join(errs...)
}

// ruleFor returns the first rule for a name.
func (r *Registry) ruleFor(pkg string) rule {
	found := rule{follow: r.spec.FollowSubject}
	for _, k := range r.spec.Retention {
		if len(k.Match) == 0 || slices.ContainsFunc(k.Match, func(p string) bool { return policy.Match(p, pkg) }) {
			found.Keep, found.aged = k, true
			break
		}
	}
	return found
}

func (r *Registry) retainPackage(ctx context.Context, pkg string, k rule, dry bool, out *Retained) error {
	if !k.aged {
		if some, err := r.attachments(ctx, pkg); err != nil || !some {
			return err
		}
	}
	all, err := r.holdings(ctx, pkg)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(k.lets(all, r.engine.now()), retainAtOnce) {
		if !dry {
			if part, err = r.letGo(ctx, pkg, part, k); err != nil {
				return err
			}
		}
		for _, h := range part {
			out.Versions++
			out.Bytes += h.bytes
			if len(out.Named) < maxRetained {
				out.Named = append(out.Named, pkg+" "+h.version)
			}
		}
	}
	return nil
}

// holding is a version as rules of retention see it.
type holding struct {
	version string
	since   time.Time // when its last tag left it, or it came
	tagged  bool
	files   []string // its own
	uses    []string
	subject string
	bytes   int64
}

// stock is what a package has and had.
type stock struct {
	held []holding
	gone map[string]time.Time // versions that were retracted, and when
}

// holdings reads all versions of a package.
func (r *Registry) holdings(ctx context.Context, pkg string) (stock, error) {
	all := stock{gone: map[string]time.Time{}}
	var after []byte
	for format := r.spec.Format.Name(); ; {
		n := 0
		err := r.engine.opt.Index.View(ctx, func(v cache.Reader) error {
			for s, err := range scanReleases(v, packageKey(format, pkg, partRelease), after) {
				if err != nil {
					return err
				}
				if n == retainPage {
					return nil
				}
				n++
				after = releaseKey(format, pkg, s.seq, 0xffff)
				if !s.Retracted.IsZero() {
					all.gone[s.Version] = s.Retracted
					continue
				}
				h, err := r.holding(v, pkg, s.Release)
				if err != nil {
					return err
				}
				all.held = append(all.held, h)
			}
			return nil
		})
		if err != nil || n < retainPage {
			return all, err
		}
	}
}

func (r *Registry) holding(v cache.Reader, pkg string, rel *formats.Release) (holding, error) {
	h := holding{version: rel.Version, since: rel.Published, uses: rel.Uses}
	if a, ok := r.spec.Format.(Attacher); ok {
		h.subject = a.Subject(rel)
	}
	for _, f := range rel.Files {
		h.files = append(h.files, f.Name)
		h.bytes += f.Blob.Size
	}
	format := r.spec.Format.Name()
	prefix, err := partKey(format, pkg, partTagged, rel.Version, "")
	if err != nil {
		return h, err
	}
	for _, err := range v.Scan(prefix, nil) {
		h.tagged = true
		return h, err
	}
	loose, err := partKey(format, pkg, partLoose, rel.Version)
	if err != nil {
		return h, err
	}
	at, err := readTime(v, loose)
	if errors.Is(err, cache.ErrNotExist) {
		return h, nil
	}
	if at.After(h.since) {
		h.since = at
	}
	return h, err
}

// lets returns the versions that a rule lets go, those before the ones they use.
func (k rule) lets(all stock, now time.Time) []holding {
	g := newTies(all.held)
	kept := g.newest(k.Newest)
	goes := func(i int) bool {
		h := all.held[i]
		return !h.tagged && g.free(i) && (k.old(h, now) && !kept[i] || k.follow && g.left(h, all.gone))
	}
	var gone []holding
	for more := true; more; {
		more = false
		for i := range all.held {
			if !g.gone[i] && goes(i) {
				g.drop(i)
				gone, more = append(gone, all.held[i]), true
			}
		}
	}
	return gone
}

// old says that a version without a tag has been kept long enough.
func (k rule) old(h holding, now time.Time) bool { return k.aged && now.Sub(h.since) >= k.Untagged }

// ties are what holds the versions of a package to each other.
type ties struct {
	all   []holding
	owner map[string]int // of a file
	named map[string]int // by version
	users []int          // how many use a version
	gone  []bool
}

func newTies(all []holding) *ties {
	g := &ties{all: all, owner: map[string]int{}, named: map[string]int{}, users: make([]int, len(all)), gone: make([]bool, len(all))}
	for i, h := range all {
		g.named[h.version] = i
		for _, f := range h.files {
			g.owner[f] = i
		}
	}
	g.count(func(i int) { g.users[i]++ }, all...)
	return g
}

// count calls fn for the owner of every file that versions use.
func (g *ties) count(fn func(int), of ...holding) {
	for _, h := range of {
		for _, f := range h.uses {
			if i, ok := g.owner[f]; ok {
				fn(i)
			}
		}
	}
}

// free says that nothing that is left holds a version.
func (g *ties) free(i int) bool {
	s, attached := g.named[g.all[i].subject]
	return g.users[i] == 0 && (!attached || g.gone[s] || s == i)
}

// left says that what a version is about was here and went. One that came, or
// came back, after that is about something that it does not need.
func (g *ties) left(h holding, gone map[string]time.Time) bool {
	if s, here := g.named[h.subject]; here {
		return g.gone[s] && h.subject != h.version
	}
	at, was := gone[h.subject]
	return was && !h.since.After(at)
}

func (g *ties) drop(i int) {
	g.gone[i] = true
	g.count(func(used int) { g.users[used]-- }, g.all[i])
}

// newest returns the n newest of the versions that nothing holds, not even a tag.
func (g *ties) newest(n int) map[int]bool {
	var loose []int
	for i, h := range g.all {
		if !h.tagged && g.free(i) {
			loose = append(loose, i)
		}
	}
	slices.SortStableFunc(loose, func(a, b int) int { return cmp.Or(g.all[b].since.Compare(g.all[a].since), cmp.Compare(b, a)) })
	kept := map[int]bool{}
	for _, i := range loose[:min(n, len(loose))] {
		kept[i] = true
	}
	return kept
}

// letGo retracts versions, but those that were tagged or used since, and returns
// those that went.
func (r *Registry) letGo(ctx context.Context, pkg string, part []holding, k rule) ([]holding, error) {
	var went []holding
	begin := func(w cache.Writer) (*tx, error) {
		h, err := readHead(w, r.spec.Format.Name(), pkg)
		if err != nil {
			return nil, err
		}
		return &tx{home: h.Repository, asked: policy.Resource{Access: h.Access}, upkeep: retainedWhy}, nil
	}
	err := r.transact(ctx, pkg, begin, func(t *tx) error {
		went = went[:0]
		for _, h := range part {
			ok, err := r.stillLoose(t, h, k)
			if err == nil && ok {
				err = t.retractWith(h.version, h.subject)
			}
			switch {
			case errors.As(err, new(*formats.UsedError)):
			case err != nil:
				return err
			case ok:
				went = append(went, h)
			}
		}
		return nil
	})
	return went, err
}

// stillLoose looks again, in the transaction, at what was found before it.
func (r *Registry) stillLoose(t *tx, was holding, k rule) (bool, error) {
	rel, err := t.Release(was.version)
	if errors.Is(err, formats.ErrNoVersion) || err == nil && !rel.Retracted.IsZero() {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	is, err := r.holding(t.w, t.name, rel)
	if err != nil || is.tagged {
		return false, err
	}
	old := k.old(is, t.now)
	if is.subject == "" || is.subject == is.version {
		return old, nil
	}
	subject, err := t.Release(is.subject)
	switch {
	case errors.Is(err, formats.ErrNoVersion):
		return old, nil
	case err != nil || subject.Retracted.IsZero():
		return false, err
	}
	return old || k.follow && !is.since.After(subject.Retracted), nil
}

// heads yields all packages of the registry's format that come after a name.
func (r *Registry) heads(ctx context.Context, after string) iter.Seq2[*head, error] {
	return func(yield func(*head, error) bool) {
		for {
			h, err := r.next(ctx, after)
			if errors.Is(err, cache.ErrNotExist) || !yield(h, err) || err != nil {
				return
			}
			after = h.Name
		}
	}
}
