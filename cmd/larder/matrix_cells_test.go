package main

import (
	"slices"
	"strconv"
	"strings"

	"larder/policy"
)

// ways are the paths of a registry by which a package of a home is reached.
func ways(f matrixFormat, home string) []string {
	if f.at != nil {
		return f.at(home)
	}
	return []string{"/" + f.name + "/", "/r/acme/" + home + "/" + f.name + "/"}
}

// known is a version as the API knows it.
func (f matrixFormat) known(version string) string {
	if f.stored == nil {
		return version
	}
	return f.stored(version)
}

// reads tries every way to read a package of a home, and compares what is
// hidden with what is not there.
func (m *matrix) reads(f matrixFormat, c matrixCaller, home, want string) {
	m.t.Helper()
	status, err := strconv.Atoi(want)
	m.must(err)
	here, gone := f.pkg(home, "here"), f.pkg(home, "gone")
	for _, at := range ways(f, home) {
		there, missing := f.reads(at, here, "1.0.0"), f.reads(at, gone, "1.0.0")
		for i, a := range there {
			var got answer
			for n := range readers(c) {
				got = m.sent(c, n, a)
				m.checkRead(c, home, a, got, status)
			}
			m.headed(c, a, got)
			if f.isFile(there, i) {
				m.ranged(c, a, status)
			}
			if status == 200 {
				continue
			}
			x, y := got.told(here, "X"), m.sent(c, readers(c)-1, missing[i]).told(gone, "X")
			if x != y && !c.knows(home) {
				m.t.Errorf("%s: what is hidden shows\nthere   %s: %s\nmissing %s: %s", c.name, a, x, missing[i], y)
			}
		}
	}
}

// knows says that a caller has a role where a package lies, so that a refusal
// may tell that it does.
func (c matrixCaller) knows(home string) bool { return c.wants == deleter && home != "public" }

// readers is how many carriers a caller has.
func readers(c matrixCaller) int {
	if c.token == "" {
		return 1
	}
	return len(carriers(""))
}

func (m *matrix) checkRead(c matrixCaller, home string, a ask, got answer, status int) {
	m.t.Helper()
	if got.status != status {
		m.t.Errorf("%s: %s of %s: %d, want %d: %.300s", c.name, a, home, got.status, status, got.body)
		return
	}
	kept := got.header.Get("Cache-Control")
	switch {
	case status != 200 && kept != "no-store":
		m.t.Errorf("%s: %s: a refusal with Cache-Control %q", c.name, a, kept)
	case status == 200 && (home != "public" || m.closed) && !strings.HasPrefix(kept, "private"):
		m.t.Errorf("%s: %s: %s bytes with Cache-Control %q", c.name, a, home, kept)
	}
	m.checkFields(c, a, got)
}

// checkFields looks at the fields about scopes and decisions.
func (m *matrix) checkFields(c matrixCaller, a ask, got answer) {
	m.t.Helper()
	scopes, shown := got.header["X-Oauth-Scopes"]
	shared := strings.HasPrefix(got.header.Get("Cache-Control"), "public")
	switch {
	case c.held == nil || shared:
		if shown {
			m.t.Errorf("%s: %s: scopes %q are shown", c.name, a, scopes)
		}
	case !slices.Equal(scopes, []string{policy.JoinScopes(c.held)}):
		m.t.Errorf("%s: %s: scopes held %q, want %q", c.name, a, scopes, policy.JoinScopes(c.held))
	}
	accepted := got.header.Get("X-Accepted-OAuth-Scopes")
	if refused := got.status == 403; accepted != "" && (!refused || c.lacks == never) || accepted == "" && refused && c.lacks == always {
		m.t.Errorf("%s: %s: %d with the accepted scopes %q: %s", c.name, a, got.status, accepted, got.body)
	}
	if named := got.header.Get("X-Larder-Decision") != ""; named != (got.status == 401 || got.status == 403) {
		m.t.Errorf("%s: %s: %d, and a decision: %v", c.name, a, got.status, named)
	}
	if c.token != "" && strings.Contains(got.body, c.token) && len(c.token) > 12 {
		m.t.Errorf("%s: %s: the token comes back: %s", c.name, a, got.body)
	}
}

// headed: HEAD is GET without the body.
func (m *matrix) headed(c matrixCaller, a ask, get answer) {
	m.t.Helper()
	a.method = "HEAD"
	head := m.sent(c, readers(c)-1, a)
	get.body = ""
	if head.header.Get("Content-Length") == "" {
		get.header.Del("Content-Length") // of a form of the document that is made on the way
	}
	if x, y := head.told("\x00", ""), get.told("\x00", ""); x != y {
		m.t.Errorf("%s: %s\nHEAD %s\nGET  %s", c.name, a, x, y)
	}
}

// ranged: a part is no way around.
func (m *matrix) ranged(c matrixCaller, a ask, status int) {
	m.t.Helper()
	n := readers(c) - 1
	for _, part := range []string{"bytes=0-0", "bytes=-1"} {
		want := status
		if status == 200 {
			want = 206
		}
		if got := m.sent(c, n, a.with("Range: "+part)); got.status != want || status == 200 && len(got.body) != 1 {
			m.t.Errorf("%s: %s, %s: %d with %d bytes, want %d", c.name, a, part, got.status, len(got.body), want)
		}
	}
	if got := m.sent(c, n, a.with("Range: bytes=99999999-")); (status == 200) != (got.status == 416) || status != 200 && got.status != status {
		m.t.Errorf("%s: %s: a part behind the end: %d", c.name, a, got.status)
	}
}

// publishes tries to publish to a home: a new version, and a new package, by
// every path.
func (m *matrix) publishes(f matrixFormat, c matrixCaller, home, want string) {
	m.t.Helper()
	for n, at := range ways(f, home) {
		for _, pkg := range []string{f.pkg(home, "here"), f.pkg(home, "new"+strconv.Itoa(m.serial))} {
			version := m.next()
			a := f.publish(m.t, at, pkg, version)
			got := m.sent(c, n+m.serial, a)
			a.body = ""
			m.checkWrite(c, a, got, want)
			if want == "ok" && got.status != f.created {
				m.t.Errorf("%s: %s: %d, want %d", c.name, a, got.status, f.created)
			}
			reads := f.reads(at, pkg, version)
			if f.writes != nil {
				m.further(c, f.writes(at, pkg), want)
			}
			if there := m.as(m.admin, reads[len(reads)-1]).status == 200; there != (want == "ok") {
				m.t.Errorf("%s: %s: %d, and the bytes are there: %v", c.name, a, got.status, there)
			}
		}
	}
}

// changes tries to delete, to restore and to change settings in the private
// repository: wants holds what comes of each. What is refused must change nothing.
func (m *matrix) changes(f matrixFormat, c matrixCaller, wants []string) {
	m.t.Helper()
	pkg, n := f.pkg("private", "here"), m.serial
	purl := "/api/v1/package?purl=pkg:" + f.name + "/" + pkg + "@"
	back := "/api/v1/package/restore?purl=pkg:" + f.name + "/" + pkg + "@"
	for _, at := range ways(f, "private") {
		for i := range len(f.deletes(m, at, pkg, "x")) + 1 {
			version := m.fresh(f)
			all := append(f.deletes(m, at, pkg, version), ask{method: "DELETE", path: purl + f.known(version)})
			n++
			m.checkWrite(c, all[i], m.sent(c, n, all[i]), wants[0])
			m.present(f, pkg, version, wants[0] != "ok")
		}
		if f.removes != nil {
			m.further(c, f.removes(at, pkg), wants[0])
		}
		for i, a := range f.settings(at, pkg) {
			m.checkWrite(c, a, m.sent(c, n+i, a), wants[2])
		}
	}
	version := m.fresh(f)
	m.want(200, m.admin, ask{method: "DELETE", path: purl + f.known(version)})
	restore := ask{method: "POST", path: back + f.known(version)}
	m.checkWrite(c, restore, m.sent(c, n, restore), wants[1])
	m.present(f, pkg, version, wants[1] == "ok")
	for i, a := range []ask{
		{method: "PATCH", path: "/api/v1/repos/acme/private", body: `{"visibility":"private"}`},
		{method: "PUT", path: "/api/v1/repos/acme/private/grants/reader", body: `{"role":"read"}`},
	} {
		m.checkWrite(c, a, m.sent(c, n+i, a), wants[2])
	}
}

// present looks whether a version's bytes can be read.
func (m *matrix) present(f matrixFormat, pkg, version string, want bool) {
	m.t.Helper()
	reads := f.reads(ways(f, "")[0], pkg, version)
	if got := m.as(m.admin, reads[len(reads)-1]); (got.status == 200) != want {
		m.t.Errorf("%s %s: %d, want it there: %v", pkg, version, got.status, want)
	}
}

func (m *matrix) checkWrite(c matrixCaller, a ask, got answer, want string) {
	m.t.Helper()
	if allowed := got.status < 300; allowed != (want == "ok") || !allowed && strconv.Itoa(got.status) != want {
		m.t.Errorf("%s: %s: %d, want %s: %.300s", c.name, a, got.status, want, got.body)
	}
	if kept := got.header.Get("Cache-Control"); got.status != 204 && kept != "no-store" {
		m.t.Errorf("%s: %s: a write with Cache-Control %q", c.name, a, kept)
	}
	m.checkFields(c, a, got)
}
