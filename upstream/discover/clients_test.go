package discover

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestNPM(t *testing.T) {
	const up = "https://upstream.example/npm/"
	tests := map[string]struct {
		env  map[string]string
		user string
		root map[string]string
		want string
	}{
		"environment":          {env: map[string]string{"NPM_CONFIG_REGISTRY": up}, want: up},
		"environment wins":     {env: map[string]string{"npm_config_registry": up}, user: "registry=https://x.example/", want: up},
		"empty environment":    {env: map[string]string{"npm_config_registry": ""}, user: "registry=" + up, want: up},
		"environment and auth": {env: map[string]string{"npm_config_registry": up}, user: "//upstream.example/npm/:_authToken=t1", want: up + " t1"},
		"user file":            {user: "; c\n# d\nregistry = \"" + up + "\"\n", want: up},
		"last line wins":       {user: "registry=https://x.example/\nregistry=" + up, want: up},
		"sections are other":   {user: "[x]\nregistry=https://x.example/", want: nothing},
		"scopes are other":     {user: "@a:registry=https://x.example/", want: nothing},
		"variable":             {env: map[string]string{"R": up, "T": "t2"}, user: "registry=${R}\n//upstream.example/npm/:_authToken=${T}", want: up + " t2"},
		"unset variable":       {user: "registry=" + up + "\n//upstream.example/npm/:_authToken=${T?}", want: up},
		"token of a parent":    {user: "registry=" + up + "\n//upstream.example/:_authToken=t3", want: up + " t3"},
		"nearest token":        {user: "registry=" + up + "\n//upstream.example/:_authToken=no\n//upstream.example/npm/:_authToken=t4", want: up + " t4"},
		"token of another":     {user: "registry=" + up + "\n//other.example/:_authToken=no\n//upstream.example:8443/:_authToken=no\n//upstream.example/npm/sub/:_authToken=no\n_authToken=no", want: up},
		"basic":                {user: "registry=" + up + "\n//upstream.example/npm/:_auth=" + b64("u:p"), want: up + " u:p"},
		"name and password":    {user: "registry=" + up + "\n//upstream.example/npm/:username=u\n//upstream.example/npm/:_password=" + b64("p w"), want: up + " u:p w"},
		"broken password":      {user: "registry=" + up + "\n//upstream.example/npm/:username=u\n//upstream.example/npm/:_password=%", want: up},
		"user file elsewhere":  {env: map[string]string{"NPM_CONFIG_USERCONFIG": "/cfg/npmrc"}, user: "registry=https://x.example/", root: map[string]string{"/cfg/npmrc": "registry=" + up}, want: up},
		"global file":          {env: map[string]string{"npm_config_globalconfig": "/g/npmrc"}, root: map[string]string{"/g/npmrc": "registry=" + up}, want: up},
		"prefix of the user":   {user: "prefix=/opt/n", root: map[string]string{"/opt/n/etc/npmrc": "registry=" + up}, want: up},
		"user before global":   {env: map[string]string{"PREFIX": "/opt"}, user: "registry=" + up, root: map[string]string{"/opt/etc/npmrc": "registry=https://x.example/\n//upstream.example/:_authToken=t5"}, want: up + " t5"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.env = tt.env
			if tt.user != "" {
				f.file("~/.npmrc", tt.user)
			}
			for path, text := range tt.root {
				f.file(path, text)
			}
			f.check("npm", tt.want)
		})
	}
}

func TestNPMBuiltinFile(t *testing.T) {
	f := newFake(t)
	f.installed["npm"] = f.file("/lib/npm/bin/npm-cli.js", "")
	f.file("/lib/npm/npmrc", "registry=https://upstream.example/builtin/")
	f.check("npm", "https://upstream.example/builtin/")
}

func TestGo(t *testing.T) {
	f := newFake(t)
	f.env["GOPROXY"] = "https://a.example/x|https://u:p@b.example , direct,https://never.example"
	f.check("go", "https://a.example/x", "https://b.example u:p")
	f.env["GOPROXY"] = "off"
	f.check("go", nothing)
	delete(f.env, "GOPROXY")
	f.command("go env GOPROXY", "https://c.example,https://c.example/,direct\n")
	f.check("go", "https://c.example")
}

func TestPip(t *testing.T) {
	const up = "https://upstream.example/simple"
	for name, tt := range map[string]struct {
		path, text string
		env        map[string]string
		want       string
	}{
		"environment":    {env: map[string]string{"PIP_INDEX_URL": up}, want: up},
		"user file":      {path: "~/.config/pip/pip.conf", text: "[global]\nindex-url = " + up, want: up},
		"with colon":     {path: "~/.pip/pip.conf", text: "# c\n[global]\nindex_url: " + up + "\n", want: up},
		"extra is other": {path: "~/.config/pip/pip.conf", text: "[global]\nextra-index-url=https://x.example/\n", want: nothing},
		"continued":      {path: "~/.config/pip/pip.conf", text: "[global]\nfind-links =\n    https://x.example/\n    index-url = no\nindex-url =\n   " + up + "\n", want: up},
		"install wins":   {path: "~/.config/pip/pip.conf", text: "[install]\nindex-url=" + up + "\n[global]\nindex-url=https://x.example/\n", want: up},
		"system file":    {path: "/etc/pip.conf", text: "[global]\nindex-url=" + up, want: up},
		"xdg":            {path: "/etc/xdg/pip/pip.conf", text: "[global]\nindex-url=" + up, want: up},
		"named file":     {path: "/x/pip.conf", text: "[global]\nindex-url=" + up, env: map[string]string{"PIP_CONFIG_FILE": "/x/pip.conf"}, want: up},
		"virtual":        {path: "/v/pip.conf", text: "[global]\nindex-url=" + up, env: map[string]string{"VIRTUAL_ENV": "/v"}, want: up},
		"no files":       {path: "/etc/pip.conf", text: "[global]\nindex-url=" + up, env: map[string]string{"PIP_CONFIG_FILE": "/dev/null"}, want: nothing},
		"credential":     {path: "/etc/pip.conf", text: "[global]\nindex-url=https://u:p@upstream.example/simple", want: up + " u:p"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.env = tt.env
			if tt.path != "" {
				f.file(tt.path, tt.text)
			}
			f.check("pypi", tt.want)
		})
	}
}

func TestGem(t *testing.T) {
	for text, want := range map[string][]string{
		"---\n:backtrace: false\n:sources:\n- https://a.example/\n- \"https://u:p@b.example/\" # c\n:verbose: true\n": {"https://a.example/", "https://b.example/ u:p"},
		"sources: [https://a.example/, 'https://b.example/']":                                                         {"https://a.example/", "https://b.example/"},
		":sources: https://a.example/\n":                                                                              {"https://a.example/"},
		":other:\n- https://a.example/\n":                                                                             {nothing},
		":sources:\n:verbose: true\n- https://a.example/\n":                                                           {nothing},
		"gem: --source https://a.example/\n":                                                                          {nothing},
	} {
		f := newFake(t)
		f.file("~/.gemrc", text)
		f.check("rubygems", want...)
	}
	f := newFake(t)
	f.command("gem sources --list", "*** CURRENT SOURCES ***\n\nhttps://a.example/\nhttps://b.example/\n")
	f.check("rubygems", "https://a.example/", "https://b.example/")
}

func TestMaven(t *testing.T) {
	settings := func(s string) string { return `<?xml version="1.0"?><settings xmlns="urn:x">` + s + "</settings>" }
	mirror := func(of, more string) string {
		return settings("<mirrors><mirror><id>m</id><url>https://upstream.example/maven</url><mirrorOf>" + of + "</mirrorOf>" + more + "</mirror></mirrors>")
	}
	const up = "https://upstream.example/maven"
	servers := "<servers><server><id>m</id><username>u</username><password>${env.P}</password></server></servers>"
	for name, tt := range map[string]struct{ text, want string }{
		"central":        {mirror("central", ""), up},
		"all":            {mirror("*", ""), up},
		"external":       {mirror("external:*", ""), up},
		"list":           {mirror("a, central", ""), up},
		"exception":      {mirror("*,!central", ""), nothing},
		"other":          {mirror("other", ""), nothing},
		"blocked":        {mirror("*", "<blocked>true</blocked>"), nothing},
		"plain http":     {mirror("external:http:*", ""), nothing},
		"credential":     {mirror("*", "")[:len(mirror("*", ""))-len("</settings>")] + servers + "</settings>", up + " u:pw"},
		"active profile": {settings("<profiles><profile><id>p</id><repositories><repository><id>central</id><url>" + up + "</url></repository></repositories></profile></profiles><activeProfiles><activeProfile>p</activeProfile></activeProfiles>"), up},
		"by default":     {settings("<profiles><profile><id>p</id><activation><activeByDefault>true</activeByDefault></activation><repositories><repository><id>central</id><url>" + up + "</url></repository></repositories></profile></profiles>"), up},
		"idle profile":   {settings("<profiles><profile><id>p</id><repositories><repository><id>central</id><url>" + up + "</url></repository></repositories></profile></profiles>"), nothing},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.env["P"] = "pw"
			f.file("~/.m2/settings.xml", tt.text)
			f.check("maven", tt.want)
		})
	}
	t.Run("encrypted", func(t *testing.T) {
		f := newFake(t)
		f.env["P"] = "{abc=}"
		f.file("~/.m2/settings.xml", mirror("*", "")[:len(mirror("*", ""))-len("</settings>")]+servers+"</settings>")
		f.check("maven", up)
	})
}

func TestMavenSuperPOM(t *testing.T) {
	const pom = `<project><repositories><repository><id>central</id><url>https://upstream.example/super</url></repository></repositories></project>`
	f := newFake(t)
	// As packages do it: a link in bin, links in lib.
	f.file("/share/maven/bin/mvn", "")
	f.jar("/share/java/model-builder.jar", superPOM, pom)
	for link, target := range map[string]string{"bin/mvn": "../share/maven/bin/mvn", "share/maven/lib/maven-model-builder-3.x.jar": "../../java/model-builder.jar"} {
		path := filepath.Join(f.root, link)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	f.installed["mvn"] = filepath.Join(f.root, "bin/mvn")
	f.check("maven", "https://upstream.example/super")
	f.self = []string{"127.0.0.1:8080"}
	f.file("~/.m2/settings.xml", "<settings><mirrors><mirror><mirrorOf>*</mirrorOf><url>http://127.0.0.1:8080/maven/</url></mirror></mirrors></settings>")
	f.check("maven", self, "https://upstream.example/super")
	f.file("/share/maven/conf/settings.xml", "<settings><mirrors><mirror><mirrorOf>*</mirrorOf><url>https://upstream.example/site</url></mirror></mirrors></settings>")
	f.check("maven", self, "https://upstream.example/site")

	w := newFake(t)
	w.jar("../home/.m2/wrapper/dists/apache-maven-3.9.9/abc/apache-maven-3.9.9/lib/maven-model-builder-3.9.9.jar", superPOM, pom)
	w.check("maven", "https://upstream.example/super")
	w.jar("../home/.m2/wrapper/dists/apache-maven-3.9.9/abc/apache-maven-3.9.9/lib/maven-model-builder-3.9.9.jar", "other", pom)
	w.check("maven", "! maven: ")
}

func TestNuGet(t *testing.T) {
	const text = `<?xml version="1.0" encoding="utf-8"?><configuration><packageSources>
<add key="gone" value="https://gone.example/"/><clear/>
<add key="main one" value="https://upstream.example/v3/index.json" protocolVersion="3"/>
<add key="folder" value="C:\packages"/><add key="off" value="https://off.example/"/><add key="b" value="https://%H%/x%20y"/>
</packageSources><disabledPackageSources><add key="OFF" value="true"/></disabledPackageSources>
<packageSourceCredentials><main_x0020_one><add key="Username" value="u"/><add key="ClearTextPassword" value="%P%"/></main_x0020_one>
<b><add key="Username" value="u"/><add key="Password" value="AQAAANCM"/></b></packageSourceCredentials></configuration>`
	want := []string{"https://upstream.example/v3/index.json u:pw", "https://b.example/x%20y"}
	for _, path := range []string{"~/.config/NuGet/NuGet.Config", "~/.nuget/NuGet/NuGet.Config", "/etc/opt/NuGet/Config/a.Config", "/appdata/NuGet/NuGet.Config"} {
		f := newFake(t)
		f.env = map[string]string{"P": "pw", "H": "b.example", "APPDATA": "/appdata"}
		f.file(path, text)
		f.check("nuget", want...)
	}
	f := newFake(t)
	f.command("dotnet nuget list source --format Short", "E https://upstream.example/v3/index.json\nD https://off.example/\nEM /local\n")
	f.check("nuget", "https://upstream.example/v3/index.json")
}

func TestContainers(t *testing.T) {
	const text = `# short names
unqualified-search-registries = [
  "a.example",   # first
  'b.example:5000', "c.example", "d.example",
]
short-name-mode="enforcing"
[[registry]]
prefix = "b.example:5000"
location = "inner.example/b"
insecure = true
[[registry]]
location = "c.example"
[[registry.mirror]]
location = "mirror.example/c"
[[registry.mirror]]
location = "second.example"
[[registry]]
location = "d.example"
blocked = true
[aliases]
"x" = "y.example/x"
`
	f := newFake(t)
	f.file("/etc/containers/registries.conf", text)
	f.file("~/.docker/config.json", `{"auths":{"inner.example":{"auth":"`+b64("u:p")+`"},"a.example":{}}}`)
	f.check("oci", "https://a.example", "http://inner.example/b u:p", "https://mirror.example/c")
	f.file("/etc/containers/registries.conf.d/10.conf", `unqualified-search-registries=["a.example"]`)
	f.check("oci", "https://a.example")
	f.file("~/.config/containers/registries.conf", "[[registry]]\nlocation='e.example'\n[[registry]]\nprefix='*.f.example'\n")
	f.check("oci", hub())
	f.env["CONTAINERS_REGISTRIES_CONF"] = "/r.conf"
	f.file("/r.conf", "unqualified-search-registries = [\"g.example\"]\nbad line\n")
	f.check("oci", "https://g.example")

	d := newFake(t)
	d.file("/etc/docker/daemon.json", `{"registry-mirrors":["https://upstream.example/"]}`)
	d.check("oci", "https://upstream.example/")
	d.file("/etc/containers/registries.conf", "x = [\n")
	d.file("~/.docker/config.json", "{")
	d.check("oci", "https://upstream.example/")
}
