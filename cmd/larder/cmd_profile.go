package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Variables that name the server and the token; they win over a profile.
const (
	urlVariable   = "LARDER_URL"
	tokenVariable = "LARDER_TOKEN"
)

const (
	defaultServer = "http://127.0.0.1:8080"
	defaultLimit  = 30 * time.Second
	maxProfile    = 64 << 10 // bytes, of a profile or token file
)

// profile is what `larder login` keeps: who is asked by default, and as whom.
type profile struct {
	Server string `json:"server"`
	Token  string `json:"token"`
}

func profileFile() (string, error) {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("no place for the profile: %w; set %s and %s instead", err, urlVariable, tokenVariable)
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "larder", "profile.json"), nil
}

// loadProfile returns the zero profile where there is none.
func loadProfile() (profile, error) {
	file, err := profileFile()
	if err != nil {
		return profile{}, nil // no home: nobody signed in
	}
	text, err := readSmall(file)
	if errors.Is(err, fs.ErrNotExist) {
		return profile{}, nil
	}
	var p profile
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		return p, fmt.Errorf("profile %s: %w; write it anew with larder login", file, err)
	}
	return p, nil
}

// saveProfile writes a profile that only its owner can read, whole or not at all.
func saveProfile(p profile) (file string, err error) {
	if file, err = profileFile(); err != nil {
		return "", err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", fmt.Errorf("save the profile: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".profile-") // mode 0600
	if err != nil {
		return "", fmt.Errorf("save the profile: %w", err)
	}
	_, err = tmp.Write(append(text, '\n'))
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("save the profile: %w", err), os.Remove(tmp.Name()))
	}
	return file, nil
}

func readSmall(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxProfile))
}

// remote is the flags of a command that speaks to a server.
type remote struct {
	server string
	limit  time.Duration
}

// flags adds them to a command.
func (r *remote) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.server, "server", "", "address (default $LARDER_URL, then the login)")
	cmd.Flags().DurationVar(&r.limit, "timeout", defaultLimit, "how long one call may take")
}

// connect finds server and token: flag, environment, profile, and for a server
// on this machine the token that its first start wrote. A token is never sent
// to another server than the one it was kept for.
func (r *remote) connect() (*client, error) {
	p, err := loadProfile()
	if err != nil {
		return nil, err
	}
	server := r.address(p)
	token := os.Getenv(tokenVariable)
	if token == "" && p.Server == server {
		token = p.Token
	}
	if token == "" && local(server) {
		token = adminToken()
	}
	return newClient(server, token, r.limit), nil
}

func (r *remote) address(p profile) string {
	for _, s := range []string{r.server, os.Getenv(urlVariable), p.Server} {
		if s != "" {
			return strings.TrimRight(s, "/")
		}
	}
	return defaultServer
}

// local reports whether an address is this machine's own.
func local(server string) bool {
	u, err := url.Parse(server)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// adminToken is the token in the data folder, "" where it cannot be read.
func adminToken() string {
	dir := os.Getenv("LARDER_DATA")
	if dir == "" {
		var err error
		if dir, err = defaultData(); err != nil {
			return ""
		}
	}
	text, err := readSmall(filepath.Join(dir, "admin.token"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
