package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"larder/policy/typo"
)

// Levels are the words of log.level.
func Levels() []string { return []string{"trace", "debug", "info", "warn", "error"} }

// LogFormats are the words of log.format: auto is text on a terminal, else json.
func LogFormats() []string { return []string{"auto", "json", "text"} }

// Reserved are the first path segments that can be no registry's name.
func Reserved() []string {
	return []string{"v2", "r", "api", "ui", "healthz", "readyz", "metrics", "mirror"}
}

// allFormats are the format words of the product, of which a build may know
// fewer. They are told apart from misspellings.
func allFormats() []string {
	return []string{"npm", "rubygems", "maven", "nuget", "oci", "gradle-cache", "pypi", "go", "cargo", "deb", "generic"}
}

var (
	registryName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	fieldName    = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
)

// checker collects everything that is wrong, with the place that said so.
type checker struct {
	*Config
	formats  []string
	sources  map[string]string
	errs     []error
	warnings []string
}

// Check validates the configuration for a build that knows these formats. The
// error joins one sentence for each thing that is wrong; warnings are about
// what is allowed and still worth a look.
func (c *Config) Check(formats []string) (warnings []string, err error) {
	k := &checker{Config: c, formats: formats}
	return k.run()
}

func (k *checker) run() ([]string, error) {
	k.server()
	k.lifetimes()
	k.uploads()
	for _, name := range slices.Sorted(maps.Keys(k.Upstreams)) {
		k.upstream(name, k.Upstreams[name])
	}
	for _, name := range slices.Sorted(maps.Keys(k.Registries)) {
		k.registry(name, k.Registries[name])
	}
	k.claims()
	k.rules()
	return k.warnings, errors.Join(k.errs...)
}

// fail notes that the value of key is wrong. It is told with the place of the
// key, or of the nearest one around it.
func (k *checker) fail(key, format string, args ...any) {
	k.failAt(key, key+": "+fmt.Sprintf(format, args...))
}

// failAt notes what is wrong because of the value of another key.
func (k *checker) failAt(key, text string) {
	for around := key; around != ""; around = parent(around) {
		if place := k.sources[around]; place != "" && place != flagSource {
			text = place + ": " + text
			break
		}
	}
	k.errs = append(k.errs, errors.New(text))
}

// parent is the key around a key: a.b[1].c, a.b[1], a.b, a.
func parent(key string) string { return key[:max(0, strings.LastIndexAny(key, ".["))] }

func (k *checker) warn(format string, args ...any) {
	k.warnings = append(k.warnings, fmt.Sprintf(format, args...))
}

func (k *checker) oneOf(key, value string, words []string) {
	if slices.Contains(words, value) {
		return
	}
	k.fail(key, "%q is not known%s: use %s", value, maybe(typo.Nearest(value, words)), strings.Join(words, ", "))
}

func maybe(near string) string {
	if near == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", near)
}

func (k *checker) server() {
	_, port, err := net.SplitHostPort(k.Listen)
	if _, wrong := strconv.ParseUint(port, 10, 16); err != nil || wrong != nil {
		k.fail("listen", "%q is not an address: write host:port, such as 127.0.0.1:8080", k.Listen)
	}
	if k.PublicURL != "" {
		k.webAddress("public_url", k.PublicURL)
	}
	for _, p := range k.TrustedProxies {
		if _, err := ParseNetwork(p); err != nil {
			k.fail("trusted_proxies", "%s", err)
		}
	}
	if (k.TLS.Cert == "") != (k.TLS.Key == "") {
		k.fail("tls", "cert and key belong together: set both or none")
	}
	k.oneOf("log.level", k.Log.Level, Levels())
	k.oneOf("log.format", k.Log.Format, LogFormats())
	if r := k.Publish.DefaultRepository; r != "" && !isRepository(r) {
		k.fail("publish.default_repository", "%q is not of the form owner/name", r)
	}
}

func isRepository(s string) bool {
	owner, name, ok := strings.Cut(s, "/")
	return ok && owner != "" && name != "" && !strings.ContainsAny(name, "/ ")
}

// webAddress checks what links are built from or fetched from. Credentials in
// it are not repeated.
func (k *checker) webAddress(key, text string) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		k.fail(key, "the value is not an address: write it as https://packages.example/")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		k.fail(key, "the value must begin with https:// or http:// and name a host")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		k.fail(key, "the address must end with its path: there can be no ? and no #")
	}
}

func (k *checker) lifetimes() {
	c := k.Cache
	k.lifetime("cache.fresh", c.Fresh, 30*day)
	k.lifetime("cache.negative", c.Negative, 30*day)
	k.lifetime("cache.stale_while_revalidate", c.StaleWhileRevalidate, longest)
	k.lifetime("cache.stale_if_error", c.StaleIfError, longest)
	k.atLeast("cache.max_size", c.MaxSize)
	k.atLeast("cache.free_space_floor", c.FreeSpaceFloor)
	k.atLeast("publish.max_size", k.Publish.MaxSize)
}

// mostUploads bounds what the server has in memory of uploads that are not over.
const mostUploads = 100_000

func (k *checker) uploads() {
	u := k.Uploads
	for _, limit := range []struct {
		key   string
		value int
	}{{"uploads.per_user", u.PerUser}, {"uploads.open", u.Open}} {
		if limit.value < 1 || limit.value > mostUploads {
			k.fail(limit.key, "%d is out of range: from 1 to %d", limit.value, mostUploads)
		}
	}
	k.atLeast("uploads.max_size", u.MaxSize)
	if u.Idle.Std() < time.Minute || u.Idle.Std() > 30*day {
		k.fail("uploads.idle", "%s is out of range: from 1m to 30d", u.Idle)
	}
}

// longest is as good as for ever.
const longest = 10 * 365 * day

// lifetime refuses 0 too, because the parts that get it take it for "not set".
func (k *checker) lifetime(key string, v Duration, most time.Duration) {
	if v.Std() < time.Millisecond || v.Std() > most {
		k.fail(key, "%s is out of range: from 1ms (ask every time) to %s", v, Duration(most))
	}
}

func (k *checker) atLeast(key string, v Size) {
	if v < 1<<20 {
		k.fail(key, "%s is too small: at least 1MiB", v)
	}
}

func (k *checker) format(key, value, entry string) {
	switch {
	case value == "":
		k.fail(key, "the format is missing: %q is no format's name, so add format: with one of %s", entry, strings.Join(k.formats, ", "))
	case slices.Contains(k.formats, value):
	case slices.Contains(allFormats(), value):
		k.fail(key, "the format %s is not part of this version, which knows %s", value, strings.Join(k.formats, ", "))
	default:
		k.fail(key, "%q is no format%s: use one of %s", value, maybe(typo.Nearest(value, k.formats)), strings.Join(k.formats, ", "))
	}
}

func (k *checker) upstream(name string, u Upstream) {
	key := "upstreams." + name
	if !registryName.MatchString(name) {
		k.fail(key, "an upstream's name is made of a-z, 0-9, dots, dashes and underscores")
	}
	k.format(key+".format", u.Format, name)
	switch u.URL.Reveal() {
	case Auto:
	case "":
		k.fail(key+".url", "the address is empty: write one, or auto")
	default:
		k.webAddress(key+".url", u.URL.Reveal())
	}
	k.upstreamAuth(key+".auth", u.Auth)
	for _, h := range u.AllowHosts {
		if h == "" || strings.ContainsAny(h, "/ @") {
			k.fail(key+".allow_hosts", "%q is not of the form host or host:port", h)
		}
	}
	k.caps(key, u)
	k.containerUpstream(name, u)
	if u.Insecure {
		k.warn("%s.insecure is true: whoever stands between can change packages that have no digest yet", key)
	}
}

func (k *checker) upstreamAuth(key string, a UpstreamAuth) {
	set := []struct {
		name, value string
		types       []string
	}{
		{"token", a.Token.Reveal(), []string{"bearer", "header"}},
		{"username", a.Username, []string{"basic"}},
		{"password", a.Password.Reveal(), []string{"basic"}},
		{"header", a.Header, []string{"header"}},
	}
	if a.Type != "" {
		k.oneOf(key+".type", a.Type, []string{"bearer", "basic", "header"})
	}
	for _, s := range set {
		wanted := slices.Contains(s.types, a.Type)
		switch {
		case s.value != "" && !wanted:
			k.fail(key+"."+s.name, "it goes with type %s, and the type is %q", strings.Join(s.types, " or "), a.Type)
		case s.value == "" && wanted && s.name != "password":
			k.fail(key+"."+s.name, "type %s needs it", a.Type)
		}
	}
	if a.Header != "" && !fieldName.MatchString(a.Header) {
		k.fail(key+".header", "%q is no header's name", a.Header)
	}
}

func (k *checker) registry(name string, r Registry) {
	key := "registries." + name
	switch {
	case slices.Contains(Reserved(), name):
		k.fail(key, "the name is reserved, as are %s", strings.Join(Reserved(), ", "))
	case !registryName.MatchString(name):
		k.fail(key, "a registry's name is made of a-z, 0-9, dots, dashes and underscores, at most 64 of them")
	}
	k.format(key+".format", r.Format, name)
	for i, id := range r.Upstreams {
		u, known := k.Upstreams[id]
		names := slices.Sorted(maps.Keys(k.Upstreams))
		switch {
		case !known && k.sources[key] == "" && k.sources[key+".upstreams"] == "":
			k.failAt("upstreams."+id, fmt.Sprintf("%s.upstreams: there is no upstream %q: the upstreams are %s; by default it has one of its own name, so write registries: {%s: {upstreams: []}} too",
				key, id, cmp.Or(strings.Join(names, ", "), "none"), name))
		case !known:
			k.fail(key+".upstreams", "there is no upstream %q%s: the upstreams are %s", id, maybe(typo.Nearest(id, names)),
				cmp.Or(strings.Join(names, ", "), "none"))
		case u.Format != r.Format:
			k.fail(key+".upstreams", "the upstream %s speaks %s, this registry %s", id, u.Format, r.Format)
		case slices.Contains(r.Upstreams[:i], id):
			k.fail(key+".upstreams", "%s is there twice", id)
		}
	}
	k.containerRegistry(name, r)
	if !r.Hosted && len(r.Upstreams) == 0 && r.Format != Containers {
		k.fail(key, "it has neither hosted packages nor an upstream, so it could hold nothing")
	}
	k.hosts(key, r.Hosts)
}

// volumeShare is the part of the volume, in percent, above which a configured
// cache.max_size leaves the index too little room.
const volumeShare = 85

// CheckVolume holds cache.max_size against the size of the data volume in
// bytes. Only a value that somebody wrote can be wrong; the default adapts.
func (l *Loaded) CheckVolume(total int64) error {
	if limit := total / 100 * volumeShare; l.Explicit("cache.max_size") && total > 0 && int64(l.Cache.MaxSize) > limit {
		return fmt.Errorf("%s: cache.max_size: %s is more than %d %% of the data volume (%s): set at most %s",
			l.Sources["cache.max_size"], l.Cache.MaxSize, volumeShare, Size(total), Size(limit>>20<<20))
	}
	return nil
}
