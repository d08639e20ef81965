package config

import (
	"time"
)

// Config is everything that can be configured. The zero value is not usable;
// Default returns one that is.
type Config struct {
	Listen         string              `key:"listen"`
	PublicURL      string              `key:"public_url"`
	TrustedProxies []string            `key:"trusted_proxies"`
	Data           string              `key:"data"`
	Offline        bool                `key:"offline"`
	TLS            TLS                 `key:"tls"`
	Log            Log                 `key:"log"`
	Auth           Auth                `key:"auth"`
	Publish        Publish             `key:"publish"`
	Uploads        Uploads             `key:"uploads"`
	Cache          Cache               `key:"cache"`
	Upstreams      map[string]Upstream `key:"upstreams"`
	Registries     map[string]Registry `key:"registries"`
	Policy         Policy              `key:"policy"`
}

// TLS names the PEM files that https is served with; both empty: plain http.
type TLS struct {
	Cert string `key:"cert"`
	Key  string `key:"key"`
}

// Log says what is logged and how.
type Log struct {
	Level  string `key:"level"`  // one of Levels
	Format string `key:"format"` // one of LogFormats
}

// Auth says who may come without a credential.
type Auth struct {
	AnonymousRead bool `key:"anonymous_read"`
}

// Publish holds what concerns packages published here.
type Publish struct {
	DefaultRepository string `key:"default_repository"` // owner/name; "" for none
	MaxSize           Size   `key:"max_size"`           // of one uploaded file
}

// Uploads bounds uploads that come in several requests and are not over, and by
// themselves those in one.
type Uploads struct {
	PerUser int      `key:"per_user"` // at once
	Open    int      `key:"open"`     // of all users at once
	MaxSize Size     `key:"max_size"` // of all of them together
	Idle    Duration `key:"idle"`     // until one that nobody goes on with ends
}

// Cache holds the budget of cached blobs and the lifetimes of documents.
type Cache struct {
	MaxSize              Size     `key:"max_size"`
	Fresh                Duration `key:"fresh"`
	StaleWhileRevalidate Duration `key:"stale_while_revalidate"`
	StaleIfError         Duration `key:"stale_if_error"`
	Negative             Duration `key:"negative"`
	FreeSpaceFloor       Size     `key:"free_space_floor"`
}

// Auto is the url of an upstream that is found by asking the package clients
// of this machine.
const Auto = "auto"

// Upstream is another registry that is fetched from.
type Upstream struct {
	Format     string       `key:"format"` // default: the entry's own name, where that is a format
	URL        Secret       `key:"url"`    // Auto, or an address; it may hold user:password
	Auth       UpstreamAuth `key:"auth"`
	Fresh      Duration     `key:"fresh"` // 0: cache.fresh
	AllowHosts []string     `key:"allow_hosts"`
	Insecure   bool         `key:"insecure"`
	// Concurrency is how many requests may be on their way at once; 0: as many as
	// package upstream finds right.
	Concurrency int  `key:"concurrency"`
	Rate        Rate `key:"rate"`
	// What follows is for containers: a mirror at /v2/mirror/<name>/.
	Hosts      []string `key:"hosts"`      // host names that are this mirror's
	Namespaces []string `key:"namespaces"` // values of ns that mean it, beside the host of URL
	Library    bool     `key:"library"`    // names of one word are below library/
	Allow      []string `key:"allow"`      // patterns of names it is asked for; empty: all
	Deny       []string `key:"deny"`       // patterns of names it is never asked for
	Prefetch   []string `key:"prefetch"`   // platforms that come with an index; empty: none
}

// UpstreamAuth is the credential for an upstream's own origin.
type UpstreamAuth struct {
	Type     string `key:"type"` // "", bearer, basic or header
	Token    Secret `key:"token"`
	Username string `key:"username"`
	Password Secret `key:"password"`
	Header   string `key:"header"` // field name for type header
}

// Registry is one format at one URL.
type Registry struct {
	Format    string   `key:"format"` // default: the entry's own name, where that is a format
	Hosted    bool     `key:"hosted"`
	Upstreams []string `key:"upstreams"`
	Hosts     []string `key:"hosts"` // host names at whose root it answers too
	// DefaultUpstream is asked for names that nobody has here; containers only.
	DefaultUpstream string `key:"default_upstream"`
	Retention       []Keep `key:"retention"` // containers; none: nothing goes by itself
	// FollowSubject: what is about a deleted image, and has no tag, goes after it.
	FollowSubject bool `key:"referrers_follow_subject"` // containers
}

// Keep is a rule of retention: which versions without a tag go by themselves. For
// each package the first that matches counts.
type Keep struct {
	Match    []string `key:"match"`    // patterns of names; empty: all
	Untagged Duration `key:"untagged"` // how long a version stays without a tag
	Newest   int      `key:"keep"`     // how many of those stay all the same
}

// Policy holds the rules about names and versions.
type Policy struct {
	Claims  []Claim  `key:"claims"`
	Rules   []Rule   `key:"rules"`
	Waivers []Waiver `key:"waivers"`
}

// Claim says that names are ours and which repository they belong to.
type Claim struct {
	ID         string   `key:"id"`
	Formats    []string `key:"formats"` // empty: all
	Match      []string `key:"match"`
	Repository string   `key:"repository"` // owner/name
}

// Rule is one supply-chain rule; which fields count depends on Kind.
type Rule struct {
	ID          string   `key:"id"`
	Kind        string   `key:"kind"`    // deny, allow, freeze or cooldown
	Formats     []string `key:"formats"` // empty: all
	Mounts      []string `key:"mounts"`  // registries; empty: all
	Match       []string `key:"match"`   // see purl.ParsePattern
	Mode        string   `key:"mode"`    // enforce, warn or off
	Reason      string   `key:"reason"`
	Expires     Date     `key:"expires"`
	Exempt      []string `key:"exempt"`       // as match
	MinAge      Duration `key:"min_age"`      // cooldown
	UnknownTime string   `key:"unknown_time"` // cooldown and freeze: first_seen, deny or allow
	NotAfter    Date     `key:"not_after"`    // freeze
	Exclusive   bool     `key:"exclusive"`    // allow: nothing else is allowed
}

// Waiver lets package versions pass a rule until a day.
type Waiver struct {
	Rule  string   `key:"rule"`
	Match []string `key:"match"`
	By    string   `key:"by"`
	Until Date     `key:"until"`
	Why   string   `key:"why"`
}

// Default returns the configuration of a server that nobody configured, for a
// build that knows these formats: a registry and an upstream each.
func Default(formats []string) Config {
	c := Config{
		Listen: "127.0.0.1:8080",
		Log:    Log{Level: "info", Format: "auto"},
		Auth:   Auth{AnonymousRead: true},
		Publish: Publish{
			DefaultRepository: "admin/packages",
			MaxSize:           2 << 30,
		},
		Uploads: Uploads{PerUser: 1000, Open: 10_000, MaxSize: 200 << 30, Idle: Duration(day)},
		Cache: Cache{
			MaxSize:              50 << 30,
			Fresh:                Duration(5 * time.Minute),
			StaleWhileRevalidate: Duration(time.Hour),
			StaleIfError:         Duration(7 * day),
			Negative:             Duration(time.Minute),
			FreeSpaceFloor:       2 << 30,
		},
		Upstreams:  map[string]Upstream{},
		Registries: map[string]Registry{},
	}
	for _, f := range formats {
		c.Upstreams[f] = Upstream{Format: f, URL: Hide(Auto)}
		r := Registry{Format: f, Hosted: true, FollowSubject: true}
		if f != Containers { // whose upstreams are mirrors of their own
			r.Upstreams = []string{f}
		}
		c.Registries[f] = r
	}
	return c
}

// defaulter is implemented by what is an element of a map or list and has
// defaults of its own.
type defaulter interface {
	// withDefaults is called on the pointer to a fresh element. name is its key
	// in a map, "" in a list.
	withDefaults(name string, formats []string)
}

func (u *Upstream) withDefaults(name string, formats []string) {
	u.URL = Hide(Auto)
	u.Format = formatOf(name, formats)
}

func (r *Registry) withDefaults(name string, formats []string) {
	r.Hosted, r.FollowSubject = true, true
	r.Format = formatOf(name, formats)
}

func (r *Rule) withDefaults(string, []string) { r.Mode, r.UnknownTime = "enforce", "first_seen" }

func formatOf(name string, formats []string) string {
	for _, f := range formats {
		if f == name {
			return f
		}
	}
	return ""
}
