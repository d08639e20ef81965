// Package registry is what a registry can do, once for every format: answer
// from hosted packages, from the cache or from an upstream; publish; merge;
// and ask policy about every name before it does.
//
// It owns the key layout of records (keys.go), the flights that fetch each
// missing file once (flight.go), and the rendered documents (render.go). It
// knows no protocol and no HTTP.
package registry

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"larder/cache"
	"larder/cache/refs"
	"larder/cache/tier"
	"larder/formats"
	"larder/policy"
	"larder/policy/rules"
	"larder/upstream"
)

// Fetcher is one upstream; *upstream.Client is the real one.
type Fetcher interface {
	Fetch(ctx context.Context, req upstream.Request) (*upstream.Response, error)
}

// Access answers what the engine asks about names and callers;
// policy/directory is the real one.
type Access interface {
	PackageAccess
	CallerAccess
	// Claim returns the claim that covers a name; ok is false for none.
	Claim(format, name string) (id, repository string, ok bool)
	// Home returns the repository that a name without claim is published to;
	// owner is the name's own owner, "" for none. The error is a refusal that
	// says which claim to add.
	Home(ctx context.Context, format, name, owner string) (repository string, err error)
	// Visibility of a repository. Errors: cache.ErrNotExist.
	Visibility(ctx context.Context, repository string) (policy.Visibility, error)
	// Generation moves with every change that an answer of Claim, Home or
	// Visibility depends on. Roles are not remembered.
	Generation() uint64
}

// CallerAccess answers what somebody may do.
type CallerAccess interface {
	Authorize(ctx context.Context, s policy.Subject, a policy.Action, res policy.Resource) policy.Decision
	// Lives refuses a subject whose token was revoked since its request came: what
	// one changes may take hours to arrive.
	Lives(ctx context.Context, s policy.Subject) error
	// Role returns what a user may do with what a resource names, without what its
	// visibility adds.
	Role(ctx context.Context, user string, res policy.Resource) (policy.Role, error)
}

// PackageAccess is asked, and keeps the grants that single packages have of
// their own, inside the transaction that changes the package.
type PackageAccess interface {
	// Admit says whether the actor may give a visibility to a package of a
	// repository. The error is a refusal, or that of the reader.
	Admit(r cache.Reader, actor policy.Subject, repository string, v policy.Visibility) error
	// Detach gives a package such grants, with the actor among the admins, and
	// returns their id.
	Detach(ctx context.Context, w cache.Writer, actor policy.Subject, res policy.Resource) (access string, err error)
	// Immutable says whether a tag of a repository's packages stays where it was
	// set first.
	Immutable(ctx context.Context, repository, tag string) (bool, error)
	// SparseIndexes says whether versions of a repository's packages may lack
	// versions that they name.
	SparseIndexes(ctx context.Context, repository string) (bool, error)
	// Attach ends the grants of that id.
	Attach(w cache.Writer, access string) error
}

// Room keeps the cached bytes within their budget; cache/evict is the real one.
type Room interface {
	// Reserve makes room for n more cached bytes. Errors: cache.ErrFull.
	Reserve(ctx context.Context, n int64) error
	// Touch notes that a cached blob was used. It never blocks or writes.
	Touch(d cache.Digest)
}

// Observer hears of what only the engine sees. Calls must not block.
type Observer interface {
	// Integrity: bytes were not those announced; stage is "fill" or "read".
	Integrity(format, pkg, stage string, err error)
	// Shared: a client joined a running flight.
	Shared(format string)
	// Claimed: a name was asked for that a claim keeps from every upstream, and
	// that is not published here.
	Claimed(format, pkg, claim string)
	// Warned: a rule in mode warn would have refused, or hidden, something.
	Warned(format, pkg string, f rules.Finding)
	// Foreseen: what a version needs was fetched before anybody asked for it.
	Foreseen(format, pkg, version string, got Foreseen)
}

// Lifetimes bound how old answers of upstreams may be. Zero fields take the
// defaults of the configuration reference.
type Lifetimes struct {
	Fresh                time.Duration
	StaleWhileRevalidate time.Duration
	StaleIfError         time.Duration
	Negative             time.Duration
}

// Options are the parts an Engine is built from; Store, Index, Locks, Room and
// Access are needed.
type Options struct {
	Store     cache.Store
	Index     cache.Index
	Locks     *refs.Locks
	Room      Room
	Access    Access
	Observer  Observer
	Rules     func() *rules.Set // as they are now; nil, or returning nil, for none
	Lifetimes Lifetimes
	Clock     func() time.Time
	Memory    int64 // bytes for small bodies and documents; default 64 MiB
	MaxUpload int64 // bytes of one uploaded file; default 2 GiB
	Uploads   UploadLimits
	Flights   int // upstream downloads at once; default 256
	Pace      Pace
	// Suspect hears of hosted bytes that were read and are not what they were, to
	// look at them and take them out of service; nil: nobody does.
	Suspect func(ctx context.Context, d cache.Digest) error
	// PrivateReads marks every answer as not for shared caches: nobody reads
	// without a credential.
	PrivateReads bool
}

// Pace bounds how long an upstream may keep us waiting. Zero fields take the
// defaults.
type Pace struct {
	// Stall is how long a body may be silent before the rest is asked for
	// anew; default 30 s.
	Stall time.Duration
	// Base is what a body may take in all, beside a second for every 64 KiB;
	// default 60 s.
	Base time.Duration
	// Patience is how long a client waits for the check of a document while an
	// old one is at hand; default 10 s. The check goes on behind its back.
	Patience time.Duration
	// Ahead is how many bytes a flight may be short of a range that a client asks
	// for, so that the client waits; beyond, the range is asked of the upstream.
	// Default 64 MiB.
	Ahead int64
}

// Limits of the engine that are no options.
const (
	smallBody     = 64 << 10 // bodies up to this size are kept in memory
	cachedNames   = 32 << 10 // names and file records held decoded
	negativeNames = 32 << 10 // remembered "not found" answers
	renders       = 2        // documents rendered at once
	guardedNames  = 4 << 10  // packages whose hidden versions are remembered
)

// Engine serves all registries of one process.
type Engine struct {
	opt       Options
	memory    *tier.Tier // bodies by digest, answers of Forward
	rendered  *tier.Tier // documents by tag
	records   *lru.Cache[string, remembered]
	names     *lru.Cache[string, *owned]
	negative  *lru.Cache[string, time.Time]
	backoff   *lru.Cache[string, retry]
	guards    *lru.Cache[string, *guard]
	parts     parts
	learns    *lru.Cache[string, time.Time] // when a package was learned
	documents singleflight.Group
	pointers  singleflight.Group
	rendering singleflight.Group
	learning  singleflight.Group
	renderers *semaphore.Weighted
	slots     *semaphore.Weighted
	hashing   chan struct{} // see Engine.append
	changes   generations   // of hosted packages
	drops     generations   // of what is cached, by key
	heads     heads
	usage     usage
	foresight foresight
	sessions  *sessionBook
	// uploads has those in one request, which are counted by themselves: sessions that
	// somebody left must not keep them out.
	uploads   *sessionBook
	approvals atomic.Uint64 // moves when versions are approved
	life      context.Context
	end       context.CancelFunc
	work      sync.WaitGroup // joined under mu only while not closed
	spoken    sync.Map       // name to *Registry, of those that clients name before a package

	mu      sync.Mutex
	flights map[string]*flight // guarded by mu
	leaders map[part]*flight   // by the digest they fetch; guarded by mu
	closed  bool               // guarded by mu
}

// errClosed is what every use after Close gets that would begin work.
var errClosed = errors.New("the registry engine is closed")

// generations count the changes to names, so that what is remembered of a name
// is known to be old. Names share counters: some are looked up once too often.
type generations struct {
	seed     maphash.Seed
	counters [256]atomic.Uint64
}

func (g *generations) of(format, pkg string) *atomic.Uint64 {
	var h maphash.Hash
	h.SetSeed(g.seed)
	h.WriteString(format) // a maphash.Hash never fails
	h.WriteByte(0)
	h.WriteString(pkg)
	return &g.counters[h.Sum64()%uint64(len(g.counters))]
}

// New builds an Engine. Close ends it.
func New(opt Options) (*Engine, error) {
	if opt.Store == nil || opt.Index == nil || opt.Locks == nil || opt.Room == nil || opt.Access == nil {
		return nil, errors.New("registry engine: a part is missing")
	}
	opt = withDefaults(opt)
	e := &Engine{
		opt: opt, flights: map[string]*flight{}, leaders: map[part]*flight{},
		memory: tier.New(opt.Memory/2, 16),
		// Few shards: a document may take a quarter of one.
		rendered:  tier.New(opt.Memory/2, 2),
		renderers: semaphore.NewWeighted(renders),
		slots:     semaphore.NewWeighted(int64(opt.Flights)),
		foresight: foresight{slots: semaphore.NewWeighted(foreseenAtOnce)},
		hashing:   make(chan struct{}, appendsAtOnce()),
		changes:   generations{seed: maphash.MakeSeed()},
		drops:     generations{seed: maphash.MakeSeed()},
		sessions:  newSessionBook(opt.Uploads),
		uploads:   newSessionBook(opt.Uploads),
	}
	e.life, e.end = context.WithCancel(context.Background()) // flights outlive the requests that began them
	var errs [8]error
	e.records, errs[0] = lru.New[string, remembered](cachedNames)
	e.names, errs[1] = lru.New[string, *owned](cachedNames)
	e.negative, errs[2] = lru.New[string, time.Time](negativeNames)
	e.backoff, errs[3] = lru.New[string, retry](negativeNames)
	e.guards, errs[4] = lru.New[string, *guard](guardedNames)
	e.parts.known, errs[5] = lru.New[part, []owner](knownParts)
	e.usage.noted, errs[7] = lru.New[use, int64](notedUses)
	e.learns, errs[6] = lru.New[string, time.Time](guardedNames)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("registry engine: %w", err)
	}
	return e, nil
}

func withDefaults(opt Options) Options {
	l, p := &opt.Lifetimes, &opt.Pace
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&l.Fresh, 5 * time.Minute}, {&l.StaleWhileRevalidate, time.Hour}, {&l.StaleIfError, 7 * 24 * time.Hour}, {&l.Negative, time.Minute},
		{&p.Stall, 30 * time.Second}, {&p.Base, time.Minute}, {&p.Patience, 10 * time.Second}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	if opt.Observer == nil {
		opt.Observer = deaf{}
	}
	if opt.Rules == nil {
		opt.Rules = func() *rules.Set { return nil }
	}
	if opt.Memory == 0 {
		opt.Memory = 64 << 20
	}
	if p.Ahead == 0 {
		p.Ahead = 64 << 20
	}
	if opt.MaxUpload == 0 {
		opt.MaxUpload = 2 << 30
	}
	if opt.Flights == 0 {
		opt.Flights = 256
	}
	return opt
}

type deaf struct{}

func (deaf) Integrity(string, string, string, error) {}
func (deaf) Claimed(string, string, string)          {}
func (deaf) Shared(string)                           {}
func (deaf) Warned(string, string, rules.Finding)    {}

func (deaf) Foreseen(string, string, string, Foreseen) {}

// enter joins the work that Close waits for; leave it with work.Done. It
// reports false once Close was called.
func (e *Engine) enter() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.work.Add(1)
	return true
}

// Close ends all flights and waits for what they still write, and for the
// requests that have upload sessions. A second Close is harmless.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.end()
	e.work.Wait()
	return nil
}

func (e *Engine) now() time.Time { return e.opt.Clock() }

// Source is an upstream as a registry uses it.
type Source struct {
	ID      string
	Fetcher Fetcher
	Fresh   time.Duration // 0: the engine's
	Offline bool          // whatever is held is served, however old
	// Private says that we are let in by a credential: once it is refused, what
	// is held may be no longer for us.
	Private bool
	// Serves reports whether a package may be had from here: one that may not is
	// neither asked for nor served from what is held. nil: all may.
	Serves func(pkg string) bool
}

// query is an upstream as one registry asks it.
type query struct {
	registry *Registry
	source   Source
}

// Spec is one configured registry: a format, hosted packages or not, and
// upstreams in the order they are asked.
type Spec struct {
	Name   string
	Format formats.Format
	Hosted bool
	// World, if not "", keeps the names of this registry apart from those of all
	// others of its format: nothing that is hosted has one of them, and where they
	// came from counts for no other. Claims cover them all the same.
	World string
	// Negative bounds how long something is remembered as missing; 0: the
	// engine's lifetime.
	Negative time.Duration
	// Upstreams is called once per use, so that discovery may end later than
	// the start. It blocks until the upstreams are known.
	Upstreams func(ctx context.Context) ([]Source, error)
	// Retention says which versions go by themselves; none: no version does.
	Retention []Keep
	// FollowSubject lets versions that are about another one, and have no tag, go
	// after that was deleted; else only Retention takes them.
	FollowSubject bool
	// Hint, if not nil, returns a sentence for those who miss something here,
	// such as how to configure an upstream; "" for none.
	Hint func() string
}

// Registry is a Spec bound to an engine: what the edge mounts.
type Registry struct {
	engine *Engine
	spec   Spec
	names  string // begins its keys in Engine.names
	empty  bool   // it is seen as if nothing were published; see Empty
}

// Registry binds a configured registry to the engine.
func (e *Engine) Registry(spec Spec) *Registry {
	if spec.Upstreams == nil {
		spec.Upstreams = func(context.Context) ([]Source, error) { return nil, nil }
	}
	if spec.Negative <= 0 || spec.Negative > e.opt.Lifetimes.Negative {
		spec.Negative = e.opt.Lifetimes.Negative
	}
	r := &Registry{engine: e, spec: spec, names: spec.Format.Name() + "\x00" + spec.World + "\x00"}
	e.speak(r)
	return r
}

// Empty is the registry as if nothing were published to it, for questions by those
// from whom what is there is hidden.
func (r *Registry) Empty() *Registry {
	empty := *r
	empty.names, empty.empty = "\x00"+r.names, true
	return &empty
}

// Name is the first segment of the registry's paths.
func (r *Registry) Name() string { return r.spec.Name }

// Format is the protocol that the registry speaks.
func (r *Registry) Format() formats.Format { return r.spec.Format }

// Hint is a sentence for those who miss something here, "" for none.
func (r *Registry) Hint() string {
	if r.spec.Hint == nil {
		return ""
	}
	return r.spec.Hint()
}

// For returns the registry as one caller may use it. repository, if not
// empty, is the "owner/name" of the URL: only its hosted packages are seen, and
// what is published goes there. base is the URL of the registry as the client
// reached it, with a final slash.
func (r *Registry) For(caller policy.Subject, repository, base string) formats.Registry {
	return &bound{Registry: r, caller: caller, repository: repository, base: base}
}
