package main

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"larder/policy"
	"larder/policy/directory"
	"larder/policy/token"
)

// homes are the repositories of the matrix by visibility: the first word of the
// names of their packages. All belong to the organization acme.
var homes = []string{"public", "internal", "private"}

// matrixCaller is a row of policy.md section 4. wants are the columns: get
// public, internal and private, publish to public and to private, delete,
// restore and settings in private. ok is success as the call words it.
type matrixCaller struct {
	name  string
	token string
	wants string
	held  []policy.Scope // by the token
	lacks lacking
}

// lacking says whether refusals name a scope that the token lacks.
type lacking int

const (
	never lacking = iota
	sometimes
	always
)

const (
	signedOut = "200 401 401 401 401 401 401 401"
	noGood    = "401 401 401 401 401 401 401 401" // never as if it were nobody's, not even where anybody may
	outside   = "200 404 404 403 403 403 403 403"
	member    = "200 200 404 403 403 403 403 403"
	reader    = "200 200 200 403 403 403 403 403"
	writer    = "200 200 200 ok ok 403 403 403"
	deleter   = "200 403 403 403 403 403 403 403"
	noDelete  = "200 200 200 ok ok 403 ok ok"
	mayAll    = "200 200 200 ok ok ok ok ok"
)

// matrix is a server with the cast of the matrix.
type matrix struct {
	*live
	callers []matrixCaller
	closed  bool // nobody reads without a token
	serial  int  // of the versions published
}

func loopback() netip.Addr { return netip.MustParseAddr("127.0.0.1") }

func newMatrix(t *testing.T, config string) *matrix {
	m := &matrix{live: liveServer(t, config)}
	m.api("POST", "users", fields{"name": "acme", "org": true})
	m.api("PATCH", "orgs/acme", fields{"base_role": "none"})
	for _, home := range homes {
		m.api("POST", "repos", fields{"name": "acme/" + home, "visibility": home})
	}
	m.api("POST", "repos", fields{"name": "acme/else", "visibility": "private"})
	for _, name := range []string{"outsider", "member", "reader", "writer", "keeper", "founder", "gone"} {
		m.api("POST", "users", fields{"name": name})
	}
	m.api("PUT", "orgs/acme/members/member", fields{"role": "member"})
	m.api("PUT", "orgs/acme/members/founder", fields{"role": "owner"})
	for name, role := range map[string]string{"reader": "read", "writer": "write", "keeper": "admin", "gone": "admin"} {
		for _, home := range append([]string{"else"}, homes...) {
			m.api("PUT", "repos/acme/"+home+"/grants/"+name, fields{"role": role})
		}
	}
	for _, f := range matrixFormats() {
		for _, home := range homes {
			m.api("POST", "claims", fields{"formats": []string{f.name}, "match": []string{f.claim(home)}, "repository": "acme/" + home})
			m.put(f, f.pkg(home, "here"), "1.0.0")
			if f.writes != nil {
				m.want(201, m.admin, f.writes(ways(f, home)[0], f.pkg(home, "here"))[0])
			}
		}
	}
	m.cast()
	return m
}

// cast makes the callers. Those whose credential is no good come last, because
// the clock moves with each of their tries.
func (m *matrix) cast() {
	add := func(name, user, wants string, limits policy.Limits, scopes ...policy.Scope) {
		secret, made := m.mint(user, limits, scopes...)
		c := matrixCaller{name: name, token: secret, wants: wants, held: made.Scopes}
		if len(scopes) < len(policy.AllScopes()) {
			c.lacks = always
		}
		m.callers = append(m.callers, c)
	}
	every := policy.AllScopes()
	m.callers = append(m.callers, matrixCaller{name: "anonymous", wants: signedOut})
	for _, c := range []struct{ name, user, wants string }{
		{"outsider", "outsider", outside}, {"member without a role", "member", member}, {"role read", "reader", reader}, {"role write", "writer", writer},
		{"role admin", "keeper", mayAll}, {"owner of the organization", "founder", mayAll}, {"administrator", "admin", mayAll},
	} {
		add(c.name, c.user, c.wants, policy.Limits{}, every...)
	}
	add("role admin, read:packages", "keeper", reader, policy.Limits{}, policy.ReadPackages)
	add("role admin, write:packages", "keeper", noDelete, policy.Limits{}, policy.WritePackages)
	add("role admin, delete:packages", "keeper", deleter, policy.Limits{}, policy.DeletePackages)
	add("role admin, admin:org", "keeper", deleter, policy.Limits{}, policy.AdminOrg)
	add("role admin, without repo", "keeper", mayAll, policy.Limits{}, policy.WritePackages, policy.DeletePackages)
	add("administrator, read:packages", "admin", reader, policy.Limits{}, policy.ReadPackages)
	add("administrator, admin:instance", "admin", deleter, policy.Limits{}, policy.AdminInstance)
	for name, l := range map[string]policy.Limits{
		"another repository": {Repositories: []string{"acme/else"}}, "another owner": {Owners: []string{"keeper"}},
		"another package": {Packages: []string{"else-*"}}, "another format": {Formats: []string{"else"}},
	} {
		add("role admin, limited to "+name, "keeper", outside, l, every...)
		add("administrator, limited to "+name, "admin", outside, l, every...)
	}
	add("role admin, limited to this", "keeper", mayAll, policy.Limits{
		Owners: []string{"acme"}, Repositories: []string{"acme/public", "acme/internal", "acme/private"}, CIDRs: []string{"127.0.0.0/8"},
	}, every...)
	m.castJob()
	m.castBad()
}

// castJob trades tokens for those of a job: one that may write and one that may
// read. Their access lists wait for the feature.
func (m *matrix) castJob() {
	for wants, scope := range map[string]policy.Scope{writer: policy.WritePackages, reader: policy.ReadPackages} {
		first, _ := m.mint("writer", policy.Limits{}, policy.AllScopes()...)
		job, made, err := m.directory.MintToken(m.t.Context(), m.subject(first), directory.Mint{
			Kind: token.Job, Trade: true, Scopes: []policy.Scope{scope}, Lifetime: time.Hour,
		})
		m.must(err)
		m.callers = append(m.callers, matrixCaller{name: "job of a writer, " + string(scope), token: job.Reveal(), wants: wants, held: made.Scopes, lacks: sometimes})
	}
}

// castBad makes credentials that are no good.
func (m *matrix) castBad() {
	every := policy.AllScopes()
	bad := func(name, secret string) {
		m.callers = append(m.callers, matrixCaller{name: name, token: secret, wants: noGood})
	}
	revoked, made := m.mint("keeper", policy.Limits{}, every...)
	m.must(m.directory.RevokeToken(m.t.Context(), m.subject(m.admin), made.ID))
	bad("revoked", revoked)
	short, _, err := m.directory.MintToken(m.t.Context(), m.subject(m.admin), directory.Mint{User: "keeper", Scopes: every, Lifetime: time.Second})
	m.must(err)
	bad("expired", short.Reveal())
	suspended, _ := m.mint("gone", policy.Limits{}, every...)
	m.api("POST", "users/gone/suspend", nil)
	bad("suspended", suspended)
	far, _ := m.mint("keeper", policy.Limits{CIDRs: []string{"198.51.100.0/24"}}, every...)
	bad("from another network", far)
	unknown, err := token.New(token.Personal)
	m.must(err)
	bad("never made", unknown.Reveal())
	good, _ := m.mint("keeper", policy.Limits{}, every...)
	bad("with a digit changed", good[:10]+string(rune('0'+('9'-good[10])%10))+good[11:])
	bad("cut", good[:len(good)-1])
	bad("with more behind", good+"x")
	bad("a JSON web token", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsInNjb3BlIjoiYWRtaW46aW5zdGFuY2UifQ.")
	bad("garbage", "undefined")
}

// put publishes a version as the administrator.
func (m *matrix) put(f matrixFormat, pkg, version string) {
	m.t.Helper()
	m.want(f.created, m.admin, f.publish(m.t, ways(f, "")[0], pkg, version))
}

// fresh publishes a version that nobody had, to a private package.
func (m *matrix) fresh(f matrixFormat) (version string) {
	m.t.Helper()
	version = m.next()
	m.put(f, f.pkg("private", "here"), version)
	return version
}

func (m *matrix) next() string {
	m.serial++
	return fmt.Sprintf("2.0.%d", m.serial)
}

// carriers are the ways to send a token (policy.md section 3.1).
func carriers(secret string) []string {
	basic := func(s string) string { return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	return []string{
		bearer(secret), "Authorization: bearer " + secret, "Authorization: token " + secret, "Authorization: " + secret,
		basic("keeper:" + secret), basic("__token__:" + secret), basic("x-access-token:" + secret), basic(secret + ":"),
		"X-NuGet-ApiKey: " + secret,
	}
}

// sent is a request with the caller's credential, by one carrier or another.
func (m *matrix) sent(c matrixCaller, n int, a ask) answer {
	m.t.Helper()
	a = a.with("X-Request-Id: one-for-all")
	if c.token == "" {
		return m.ask(a)
	}
	if c.wants == noGood {
		m.later(2 * time.Second) // failures are slowed down
	}
	ways := carriers(c.token)
	return m.ask(a.with(ways[n%len(ways)]))
}

// columns is what a row wants, word by word.
func (c matrixCaller) columns(f matrixFormat) []string {
	wants := c.wants
	if f.repositoryScoped && c.name == "role admin, without repo" {
		wants = reader
	}
	return strings.Fields(wants)
}

// TestAccessMatrix is the matrix of policy.md section 4, asked of a whole
// server over TCP, for every format.
func TestAccessMatrix(t *testing.T) {
	m := newMatrix(t, "")
	for _, c := range m.callers { // whose last ones move the clock on
		for _, f := range matrixFormats() {
			t.Run(f.name+"/"+c.name, func(t *testing.T) {
				m.t = t
				want := c.columns(f)
				for i, home := range homes {
					m.reads(f, c, home, want[i])
				}
				m.publishes(f, c, "public", want[3])
				m.publishes(f, c, "private", want[4])
				m.changes(f, c, want[5:])
			})
		}
	}
	m.t = t
}

// TestAccessMatrixWithoutAnonymousReads: nobody reads anything, and whoever
// signed in reads as before.
func TestAccessMatrixWithoutAnonymousReads(t *testing.T) {
	m := newMatrix(t, "auth: {anonymous_read: false}\n")
	m.closed = true
	for _, c := range m.callers {
		for _, f := range matrixFormats() {
			want := c.columns(f)
			if c.name == "anonymous" {
				want = strings.Fields(noGood)
			}
			for i, home := range homes {
				m.reads(f, c, home, want[i])
			}
		}
	}
	for _, f := range matrixFormats() {
		for _, at := range ways(f, "public") {
			m.want(401, "", f.reads(at, f.pkg("nobodys", "package"), "1.0.0")[0])
		}
	}
	if log := m.far.Log(""); len(log) != 0 {
		t.Errorf("the upstream was asked for somebody who may read nothing: %+v", log)
	}
}
