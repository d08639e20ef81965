package discover

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"larder/upstream"
)

// npmSettings are the settings of npm's files, those of the user before those
// of the machine, each with the file it stands in.
type npmSettings struct {
	values map[string]string
	files  map[string]string
}

func npmEnvironment(_ context.Context, m *machine) ([]Found, error) {
	for _, name := range []string{"npm_config_registry", "NPM_CONFIG_REGISTRY"} {
		if v := m.env(name); v != "" {
			s, err := npmRead(m)
			return []Found{{URL: v, Source: "environment variable " + name, Auth: s.auth(v)}}, err
		}
	}
	return nil, nil
}

func npmFiles(_ context.Context, m *machine) ([]Found, error) {
	s, err := npmRead(m)
	v := s.values["registry"]
	if v == "" {
		return nil, err
	}
	return []Found{{URL: v, Source: s.files["registry"], Auth: s.auth(v)}}, err
}

func npmAsked(ctx context.Context, m *machine) ([]Found, error) {
	return npmCommand(ctx, m, Command{Name: "npm", Args: []string{"config", "get", "registry"}})
}

// npmDefault asks npm what it would use without any configuration: it is
// reached when all of that leads to this larder.
func npmDefault(ctx context.Context, m *machine) ([]Found, error) {
	return npmCommand(ctx, m, Command{
		Name:  "npm",
		Args:  []string{"config", "get", "registry", "--userconfig=/dev/null", "--globalconfig=/dev/null"},
		Unset: []string{"npm_config_registry", "NPM_CONFIG_REGISTRY"},
	})
}

func npmCommand(ctx context.Context, m *machine, c Command) ([]Found, error) {
	out, err := m.ask(ctx, c)
	v := strings.TrimSpace(out)
	if err != nil || v == "" || v == "undefined" || v == "null" {
		return nil, err
	}
	s, err := npmRead(m)
	return []Found{{URL: v, Source: "npm " + strings.Join(c.Args, " "), Auth: s.auth(v)}}, err
}

// npmRead reads npm's files: those that can be read count, whatever is wrong
// with the others is in the error.
func npmRead(m *machine) (npmSettings, error) {
	s := npmSettings{values: make(map[string]string), files: make(map[string]string)}
	var errs []error
	read := func(path string) {
		data, err := m.file(path)
		if err == nil {
			err = s.add(m, path, data)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("npm: %w", err))
		}
	}
	user := m.userPath(".npmrc")
	if v := firstOf(m.env("npm_config_userconfig"), m.env("NPM_CONFIG_USERCONFIG")); v != "" {
		user = m.systemPath(v)
	}
	read(user)
	global := firstOf(m.env("npm_config_globalconfig"), m.env("NPM_CONFIG_GLOBALCONFIG"), s.values["globalconfig"])
	builtin := m.npmBuiltin()
	if global == "" {
		if prefix := firstOf(m.env("npm_config_prefix"), m.env("NPM_CONFIG_PREFIX"), m.env("PREFIX"), s.values["prefix"], m.nodePrefix()); prefix != "" {
			global = filepath.Join(prefix, "etc", "npmrc")
		}
	}
	if global != "" {
		read(m.systemPath(global))
	}
	read(builtin)
	return s, errors.Join(errs...)
}

func firstOf(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// npmBuiltin is the file that comes with npm itself.
func (m *machine) npmBuiltin() string {
	at := m.installed("npm")
	if filepath.Base(filepath.Dir(at)) != "bin" || at == "" {
		return ""
	}
	return filepath.Join(filepath.Dir(filepath.Dir(at)), "npmrc")
}

// nodePrefix is where npm puts its global files: the folder above node's.
func (m *machine) nodePrefix() string {
	at := m.installed("node")
	if at == "" {
		return ""
	}
	return filepath.Dir(filepath.Dir(at))
}

// installed is the file behind a command, after all links; "" when there is none.
func (m *machine) installed(name string) string {
	at, err := m.lookPath(name)
	if err != nil {
		return ""
	}
	if at, err = filepath.EvalSymlinks(at); err != nil {
		return ""
	}
	return at
}

// add takes the settings of one file; those known already win.
func (s npmSettings) add(m *machine, path string, data []byte) error {
	list, err := parseINI(data, "=", false)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	own := make(map[string]string)
	for _, l := range list {
		if l.section == "" {
			own[m.npmExpand(unquote(l.key))] = m.npmExpand(unquote(l.value)) // within one file the last wins
		}
	}
	for key, value := range own {
		if _, known := s.values[key]; !known && value != "" {
			s.values[key], s.files[key] = value, path
		}
	}
	return nil
}

// npmExpand replaces ${NAME}; unknown names stay as they are, with a question
// mark at their end they become empty.
func (m *machine) npmExpand(s string) string {
	return regexp.MustCompile(`\$\{[^${}]+\}`).ReplaceAllStringFunc(s, func(ref string) string {
		name, optional := strings.CutSuffix(ref[2:len(ref)-1], "?")
		if v, ok := m.lookup(name); ok {
			return v
		}
		if optional {
			return ""
		}
		return ref
	})
}

// auth finds the credential of an address as npm does: by the longest
// "//host/path/" in front of it.
func (s npmSettings) auth(address string) upstream.Auth {
	u, err := url.Parse(address)
	if err != nil {
		return upstream.Auth{}
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/") + "/"
	for {
		key := "//" + u.Host + path
		if a := s.authAt(key); a.Type != "" {
			return a
		}
		if a := s.authAt(strings.TrimSuffix(key, "/")); a.Type != "" {
			return a
		}
		if path == "/" {
			return upstream.Auth{}
		}
		path = path[:strings.LastIndex(path[:len(path)-1], "/")+1]
	}
}

func (s npmSettings) authAt(key string) upstream.Auth {
	if v := s.values[key+":_authToken"]; v != "" {
		return upstream.Auth{Type: "bearer", Token: upstream.Hide(v)}
	}
	if v := s.values[key+":_auth"]; v != "" {
		return basicAuth(v)
	}
	user, encoded := s.values[key+":username"], s.values[key+":_password"]
	password, err := base64.StdEncoding.DecodeString(encoded)
	if user == "" || encoded == "" || err != nil {
		return upstream.Auth{}
	}
	return upstream.Auth{Type: "basic", Username: user, Password: upstream.Hide(string(password))}
}

// basicAuth reads the base64 form of user:password; what is none is no credential.
func basicAuth(encoded string) upstream.Auth {
	plain, err := base64.StdEncoding.DecodeString(encoded)
	user, password, ok := strings.Cut(string(plain), ":")
	if err != nil || !ok {
		return upstream.Auth{}
	}
	return upstream.Auth{Type: "basic", Username: user, Password: upstream.Hide(password)}
}
