package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"larder/policy/rules"
)

func formats() []string { return []string{"npm", "maven"} }

// load reads a configuration from the text of a file ("" for none) and variables.
func load(t *testing.T, text string, env ...string) (*Loaded, error) {
	t.Helper()
	src := Source{Env: env, Formats: formats()}
	if text != "" {
		src.File = write(t, text)
	}
	return Load(src)
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "larder.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func must(t *testing.T, l *Loaded, err error) *Loaded {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestNothingConfigured(t *testing.T) {
	l, err := load(t, "")
	l = must(t, l, err)
	if !reflect.DeepEqual(l.Config, Default(formats())) || len(l.Sources) != 0 || len(l.Warnings) != 0 {
		t.Errorf("%+v", l)
	}
	for _, text := range []string{"\n", "# nothing\n", "---\n", "null\n"} {
		l, err := load(t, text)
		if l = must(t, l, err); !reflect.DeepEqual(l.Config, Default(formats())) {
			t.Errorf("%q: %+v", text, l.Config)
		}
	}
}

func TestPrecedence(t *testing.T) {
	const file = "listen: 127.0.0.1:1\npublic_url: https://file.example\ncache: {fresh: 1m, negative: 2s}\n"
	l, err := Load(Source{
		File: write(t, file), Env: []string{"LARDER_PUBLIC_URL=https://env.example", "LARDER_CACHE_FRESH=2m", "PATH=/bin", "LARDER_TOKEN=x"},
		Formats: formats(),
		Flags: func(c *Config, set func(string)) error {
			c.PublicURL = "https://flag.example"
			set("public_url")
			return nil
		},
	})
	l = must(t, l, err)
	if l.Listen != "127.0.0.1:1" || l.PublicURL != "https://flag.example" || l.Cache.Fresh.Std() != 2*time.Minute ||
		l.Cache.Negative.Std() != 2*time.Second || l.Cache.StaleIfError != Default(nil).Cache.StaleIfError {
		t.Errorf("%+v", l.Config)
	}
	for key, want := range map[string]string{
		"listen": "larder.yaml: line 1", "cache.negative": "larder.yaml: line 3", "public_url": "flag", "cache.fresh": "LARDER_CACHE_FRESH", "data": "",
	} {
		if got := l.Sources[key]; !strings.HasSuffix(got, want) || want == "" && got != "" {
			t.Errorf("%s comes from %q, want %q", key, got, want)
		}
	}
	if !l.Explicit("listen") || l.Explicit("data") {
		t.Error("what was set is not told from what was not")
	}
}

func TestEntriesReplaceTheDefaultOnes(t *testing.T) {
	l, err := load(t, "upstreams:\n  npm: {url: http://a.upstream.example}\n  far: {format: maven, url: http://b.upstream.example, fresh: 1h}\n"+
		"registries:\n  maven: null\n  npm: {hosted: false, upstreams: [npm]}\n")
	l = must(t, l, err)
	want := map[string]Registry{"npm": {Format: "npm", Upstreams: []string{"npm"}, FollowSubject: true}}
	if !reflect.DeepEqual(l.Registries, want) {
		t.Errorf("registries %+v", l.Registries)
	}
	if len(l.Upstreams) != 3 || l.Upstreams["npm"].Format != "npm" || l.Upstreams["far"].Fresh.Std() != time.Hour || l.Upstreams["maven"].URL.Reveal() != Auto {
		t.Errorf("upstreams %+v", l.Upstreams)
	}
	l, err = load(t, "upstreams: null\nregistries: {npm: {}, maven: null}\n")
	if l = must(t, l, err); len(l.Upstreams) != 0 || !l.Registries["npm"].Hosted {
		t.Errorf("%+v", l.Config)
	}
}

func TestEnvironment(t *testing.T) {
	l, err := load(t, "upstreams:\n  my-far_away: {format: npm}\n",
		"LARDER_UPSTREAMS_NPM_URL=http://u:p@a.upstream.example", "LARDER_UPSTREAMS_MY_FAR_AWAY_AUTH_TYPE=bearer",
		"LARDER_UPSTREAMS_MY_FAR_AWAY_AUTH_TOKEN=t", "LARDER_UPSTREAMS_NEW_FORMAT=npm", "LARDER_UPSTREAMS_NEW_ALLOW_HOSTS= a.example , b.example:80,",
		"LARDER_OFFLINE=true", "LARDER_TRUSTED_PROXIES=", `LARDER_POLICY_CLAIMS=[{id: a, match: ["@a/**"], repository: a/b}]`)
	l = must(t, l, err)
	if l.Upstreams["npm"].URL.Reveal() != "http://u:p@a.upstream.example" || !l.Offline || l.TrustedProxies != nil {
		t.Errorf("%+v", l.Config)
	}
	if a := l.Upstreams["my-far_away"].Auth; a.Type != "bearer" || a.Token.Reveal() != "t" {
		t.Errorf("an entry with dashes in its name: %+v", a)
	}
	if n := l.Upstreams["new"]; n.Format != "npm" || n.URL.Reveal() != Auto || !reflect.DeepEqual(n.AllowHosts, []string{"a.example", "b.example:80"}) {
		t.Errorf("a new entry: %+v", n)
	}
	if c := l.Policy.Claims; len(c) != 1 || c[0].Repository != "a/b" {
		t.Errorf("claims: %+v", c)
	}
}

func TestSecrets(t *testing.T) {
	file := write(t, "upstreams:\n  npm: {auth: {type: bearer, token: 'file:token.txt'}}\n  maven: {url: 'https://u:${PASS}@m.upstream.example/${DIR}'}\n")
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "token.txt"), []byte("s3cret\nsecond line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Load(Source{File: file, Env: []string{"PASS=p4ss", "DIR=x"}, Formats: formats()})
	l = must(t, l, err)
	if l.Upstreams["npm"].Auth.Token.Reveal() != "s3cret" || l.Upstreams["maven"].URL.Reveal() != "https://u:p4ss@m.upstream.example/x" {
		t.Errorf("%+v %+v", l.Upstreams["npm"].Auth.Token.Reveal(), l.Upstreams["maven"].URL.Reveal())
	}
	// Nothing asks an unexported field how it prints, and a wrong verb shows what it got.
	type keeper struct{ cfg Config }
	token, url := l.Upstreams["npm"].Auth.Token, l.Upstreams["maven"].URL
	text := fmt.Sprintf("%v %+v %#v %s", l.Config, l.Config, l.Config, l.Values())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t"} {
		text += fmt.Sprintf(verb+verb+verb+verb, keeper{l.Config}, &keeper{l.Config}, token, &url)
	}
	encoded, err := json.Marshal(l.Config)
	if err != nil {
		t.Fatal(err)
	}
	text += string(encoded)
	if strings.Contains(text, "s3cret") || strings.Contains(text, "p4ss") || strings.Contains(text, fmt.Sprintf("%x", "s3cret")) {
		t.Errorf("a secret is shown: %s", text)
	}
	if plain := Hide("https://m.upstream.example/"); plain.String() != "https://m.upstream.example/" {
		t.Errorf("an address without anything to hide is shown as %s", plain)
	}
	if !strings.Contains(text, "https://m.upstream.example/[redacted]") {
		t.Errorf("the host of an address is hidden: %s", text)
	}
}

// TestPathsAreRelativeToWhoWroteThem: those of the file to its folder, those of
// flags and variables to the folder that larder was started in.
func TestPathsAreRelativeToWhoWroteThem(t *testing.T) {
	file := write(t, "data: store\ntls: {cert: a.pem, key: /abs/key.pem}\n")
	l, err := Load(Source{File: file, Formats: formats()})
	l = must(t, l, err)
	dir := filepath.Dir(file)
	if l.Data != filepath.Join(dir, "store") || l.TLS.Cert != filepath.Join(dir, "a.pem") || l.TLS.Key != "/abs/key.pem" {
		t.Errorf("%q %+v", l.Data, l.TLS)
	}
	l, err = Load(Source{File: file, Env: []string{"LARDER_TLS_CERT=b.pem", "LARDER_DATA=there"}, Formats: formats()})
	if l = must(t, l, err); l.Data != "there" || l.TLS.Cert != "b.pem" {
		t.Errorf("%q %+v", l.Data, l.TLS)
	}
}

func TestValues(t *testing.T) {
	l, err := load(t, "cache: {fresh: 1m}\npolicy: {claims: [{id: a, match: [x], repository: a/b}]}\n")
	got := map[string]Value{}
	for _, v := range must(t, l, err).Values() {
		got[v.Key] = v
	}
	if v := got["cache.fresh"]; v.Value != "1m" || !strings.HasSuffix(v.Source, "line 1") {
		t.Errorf("%+v", v)
	}
	if v := got["registries.npm.upstreams"]; v.Value != "[npm]" || v.Source != "default" {
		t.Errorf("%+v", v)
	}
	if v := got["policy.claims[0].repository"]; v.Value != "a/b" || !strings.HasSuffix(v.Source, "line 2") {
		t.Errorf("%+v", v)
	}
}

// TestRuleSet: every field of a rule and of a waiver reaches package rules.
func TestRuleSet(t *testing.T) {
	l, err := load(t, "policy:\n  rules:\n"+
		"  - {id: a, kind: cooldown, mode: warn, reason: r, formats: [npm], mounts: [npm], match: ['pkg:npm/x'], exempt: ['pkg:npm/y'], min_age: 7d, unknown_time: deny, expires: 2027-01-31}\n"+
		"  - {id: b, kind: freeze, mode: off, not_after: 2027-01-31T00:00:00Z}\n  - {id: c, kind: allow, mode: off, match: ['pkg:npm/x'], exclusive: true}\n"+
		"  waivers: [{rule: a, match: ['pkg:npm/x@1.0.0'], by: alice, until: 2027-01-31, why: urgent}]\n")
	list, waivers := must(t, l, err).Policy.RuleSet()
	end := time.Date(2027, 1, 31, 23, 59, 59, 0, time.UTC)
	want := []rules.Rule{
		{
			ID: "a", Kind: "cooldown", Mode: "warn", Reason: "r", Formats: []string{"npm"}, Mounts: []string{"npm"}, Match: []string{"pkg:npm/x"},
			Exempt: []string{"pkg:npm/y"}, MinAge: 7 * day, UnknownTime: "deny", Expires: end,
		},
		{ID: "b", Kind: "freeze", Mode: "off", UnknownTime: "first_seen", NotAfter: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)},
		{ID: "c", Kind: "allow", Mode: "off", UnknownTime: "first_seen", Match: []string{"pkg:npm/x"}, Exclusive: true},
	}
	if !reflect.DeepEqual(list, want) {
		t.Errorf("got %+v\nwant %+v", list, want)
	}
	if w := (rules.Waiver{Rule: "a", Match: []string{"pkg:npm/x@1.0.0"}, By: "alice", Why: "urgent", Until: end}); !reflect.DeepEqual(waivers, []rules.Waiver{w}) {
		t.Errorf("got %+v", waivers)
	}
}

func TestFlagError(t *testing.T) {
	broken := errors.New("no")
	if _, err := Load(Source{Flags: func(*Config, func(string)) error { return broken }}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestCheckVolume(t *testing.T) {
	l, err := load(t, "cache: {max_size: 86GiB}\n")
	l = must(t, l, err)
	if err := l.CheckVolume(100 << 30); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("too much: %v", err)
	}
	if err := errors.Join(l.CheckVolume(200<<30), l.CheckVolume(0)); err != nil {
		t.Errorf("enough or unknown: %v", err)
	}
	l, err = load(t, "")
	if err := must(t, l, err).CheckVolume(1 << 30); err != nil {
		t.Errorf("the default adapts: %v", err)
	}
}
