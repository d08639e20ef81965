package discover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	maxFile   = 1 << 20         // bytes of one configuration file
	maxOutput = 1 << 20         // bytes that a client may print
	lingering = 2 * time.Second // for the children of a client that was killed
)

// machine is what the steps may ask.
type machine struct {
	home, root string
	timeout    time.Duration
	self       []string
	names      []string
	lookup     func(string) (string, bool)
	lookPath   func(string) (string, error)
	command    func(context.Context, Command) (string, error)
}

func newMachine(o Options) *machine {
	m := &machine{home: o.Home, root: o.Root, timeout: o.Timeout, self: o.Self, names: o.Names,
		lookup: o.Env, lookPath: o.LookPath, command: o.Run}
	if m.home == "" {
		// Without a home there are no user files: the other sources remain.
		m.home, _ = os.UserHomeDir()
	}
	if m.timeout <= 0 {
		m.timeout = defaultTimeout
	}
	if m.names == nil && len(m.self) > 0 {
		m.names = localNames()
	}
	if m.lookup == nil {
		m.lookup = os.LookupEnv
	}
	if m.lookPath == nil {
		m.lookPath = exec.LookPath
	}
	if m.command == nil {
		m.command = m.run
	}
	return m
}

// localNames asks the system; what it does not tell is not ours.
func localNames() []string {
	var names []string
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	if addrs, err := net.InterfaceAddrs(); err == nil {
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				names = append(names, p.Addr().WithZone("").String())
			}
		}
	}
	return names
}

// env returns a variable, "" when unset.
func (m *machine) env(name string) string {
	v, _ := m.lookup(name)
	return v
}

// userPath is a path below the home folder, "" without one.
func (m *machine) userPath(parts ...string) string {
	if m.home == "" {
		return ""
	}
	return filepath.Join(append([]string{m.home}, parts...)...)
}

// configPath is a path below the user's XDG configuration folder.
func (m *machine) configPath(parts ...string) string {
	if x := m.env("XDG_CONFIG_HOME"); filepath.IsAbs(x) {
		return m.systemPath(append([]string{x}, parts...)...)
	}
	return m.userPath(append([]string{".config"}, parts...)...)
}

// systemPath is a path below Root.
func (m *machine) systemPath(parts ...string) string {
	p := filepath.Join(parts...)
	if m.root == "" || (m.home != "" && strings.HasPrefix(p, m.home+string(filepath.Separator))) {
		return p
	}
	return filepath.Join(m.root, p)
}

// file reads a file; one that is not there is nil without an error.
func (m *machine) file(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("read %s: more than %d bytes", path, maxFile)
	}
	return data, nil
}

// ask runs a client; one that is not installed answers "" without an error.
func (m *machine) ask(ctx context.Context, c Command) (string, error) {
	if _, err := m.lookPath(c.Name); err != nil {
		return "", nil
	}
	out, err := m.command(ctx, c)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", c.Name, err)
	}
	return out, nil
}

// run is the default of Options.Run. The client runs in the home folder, so
// that the project in which larder was started has no say.
func (m *machine) run(ctx context.Context, c Command) (string, error) {
	cmd := exec.CommandContext(ctx, c.Name, c.Args...)
	cmd.Dir = m.home
	cmd.WaitDelay = lingering
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(c.Unset, name)
	})
	if m.home != "" {
		cmd.Env = append(cmd.Env, "HOME="+m.home)
	}
	cmd.Env = append(cmd.Env, c.Env...)
	var out limited
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", err
	}
	return out.kept.String(), nil
}

// limited keeps the first maxOutput bytes.
type limited struct{ kept bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	l.kept.Write(p[:min(len(p), maxOutput-l.kept.Len())])
	return len(p), nil
}

// isSelf reports whether u leads to this larder.
func (m *machine) isSelf(u *url.URL) bool {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	name := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	for _, s := range m.self {
		host, sport := splitSelf(s)
		if sport != port {
			continue
		}
		if host == name || (m.isLocal(host) && m.isLocal(name)) {
			return true
		}
	}
	return false
}

// splitSelf reads "host:port", ":port" or a URL.
func splitSelf(s string) (host, port string) {
	if u, err := url.Parse(s); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		port = u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		return strings.ToLower(u.Hostname()), port
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", ""
	}
	return strings.ToLower(host), port
}

// isLocal reports whether a name or address leads to this machine; an empty
// one is that of a listener on all of them.
func (m *machine) isLocal(name string) bool {
	if name == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	if a, err := netip.ParseAddr(name); err == nil {
		if a = a.Unmap(); a.IsLoopback() || a.IsUnspecified() {
			return true
		}
		name = a.String()
	}
	return slices.ContainsFunc(m.names, func(n string) bool { return strings.EqualFold(n, name) })
}
