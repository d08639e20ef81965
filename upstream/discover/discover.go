// Package discover finds upstream addresses by asking the package clients on
// this machine, as a colleague would: their environment, their files and, where
// these are silent, the clients themselves. No address is built in; where container
// clients go by default, which no file says, a library of theirs knows.
//
// Each format has steps, from the most particular source to the client's own
// default; the first step that names a usable address wins. An address that is
// this larder itself is passed over with a note, and the search goes on: a
// client that was set up for us still knows where it went before.
package discover

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"larder/upstream"
)

// defaultTimeout bounds the search for one format. Files answer in a
// millisecond, npm in a third of a second.
const defaultTimeout = 5 * time.Second

// Options say where to look. The zero value looks at this machine.
type Options struct {
	// Formats limits the search (default: all of Formats()).
	Formats []string
	// Self are the addresses of this larder: listeners as "host:port" (an
	// empty or unspecified host means all of this machine) and public URLs.
	Self []string
	// Names are the host names and addresses of this machine (default: its
	// host name and those of its interfaces). Loopback always counts.
	Names []string
	// Timeout bounds the search for one format (default 5 s).
	Timeout time.Duration

	Home     string                                               // default: the user's
	Root     string                                               // stands before every path outside Home; for tests
	Env      func(name string) (string, bool)                     // default: os.LookupEnv
	LookPath func(name string) (string, error)                    // default: exec.LookPath
	Run      func(ctx context.Context, c Command) (string, error) // default: runs it
}

// Command is a question to a package client.
type Command struct {
	Name  string
	Args  []string
	Env   []string // "NAME=value", added to the environment
	Unset []string // names taken out of the environment
}

// Found is one address of a format, or a Note why there is none.
type Found struct {
	Format string `json:"format"`
	URL    string `json:"url,omitempty"` // http or https, without a credential; empty: see Note
	// Host is the one that image names have for it, where clients go elsewhere for
	// them: a mirror, or another name of the same registry.
	Host   string `json:"host,omitempty"`
	Source string `json:"source"` // for people: which file, variable or command
	// Auth is the credential that the client has for this very host. It is
	// never saved.
	Auth upstream.Auth `json:"-"`
	// Secret tells that there was an Auth: who loads it has to search again.
	Secret bool   `json:"secret,omitempty"`
	Note   string `json:"note,omitempty"` // what a person should know
	// Unanswered says that a client did not answer in time: whoever has no address
	// for it knows nothing yet, and has to ask again.
	Unanswered bool `json:"-"`
}

// Formats lists what can be searched for, in the order of the results.
func Formats() []string {
	return []string{"npm", "rubygems", "maven", "nuget", "pypi", "go", "oci"}
}

// step looks at one source. No result and no error: that source is silent.
type step func(ctx context.Context, m *machine) ([]Found, error)

func steps(format string) []step {
	switch format {
	case "npm":
		return []step{npmEnvironment, npmFiles, npmAsked, npmDefault}
	case "rubygems":
		return []step{gemFiles, gemAsked, gemDefault}
	case "maven":
		return []step{mavenSettings, mavenSuperPOM}
	case "nuget":
		return []step{nugetFiles, nugetAsked}
	case "pypi":
		return []step{pipEnvironment, pipFiles, pipDefault}
	case "go":
		return []step{goEnvironment, goAsked, goDefault}
	case "oci":
		return []step{containerRegistries, dockerMirrors, containerDefault}
	}
	return nil
}

// Find searches for all formats at once. For each there is at least one
// Found; those without URL say in Note why. The order is that of Formats, and
// within one format that of the client.
func Find(ctx context.Context, o Options) []Found {
	m := newMachine(o)
	formats := o.Formats
	if len(formats) == 0 {
		formats = Formats()
	}
	results := make([][]Found, len(formats))
	var all sync.WaitGroup
	for i, format := range formats {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, m.timeout)
			defer cancel()
			results[i] = search(ctx, m, format)
		})
	}
	all.Wait()
	return slices.Concat(results...)
}

// search goes through the steps of a format until one names a usable address.
func search(ctx context.Context, m *machine, format string) []Found {
	var passed []Found
	var notes []string
	unanswered := false
	for _, look := range steps(format) {
		list, err := look(ctx, m)
		if err != nil {
			notes = append(notes, err.Error())
			unanswered = unanswered || errors.Is(err, context.DeadlineExceeded)
		}
		usable := false
		for _, f := range list {
			f.Format = format
			if err := f.settle(m); err != nil {
				f.URL, f.Auth, f.Secret, f.Note = "", upstream.Auth{}, false, err.Error()
			}
			usable = usable || f.URL != ""
			passed = append(passed, f)
		}
		if usable {
			return distinct(passed)
		}
	}
	if len(notes) == 0 {
		notes = []string{"no client of this format names an upstream"}
	}
	return append(passed, Found{Format: format, Source: "none", Note: strings.Join(notes, "; "), Unanswered: unanswered})
}

// errSelf is why an address of this larder is passed over.
var errSelf = errors.New("this is the address of this larder itself; passed over")

// settle makes the address plain and the credential separate, or says why the
// address is of no use. Errors name no part of the address that may be secret.
func (f *Found) settle(m *machine) error {
	u, err := url.Parse(strings.TrimSpace(f.URL))
	if err != nil {
		return errors.New("the address cannot be read")
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("an address of kind %q is of no use here", u.Scheme)
	}
	if u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("the address lacks a host, or has a query")
	}
	if u.User != nil {
		password, _ := u.User.Password()
		if f.Auth.Type == "" {
			f.Auth = upstream.Auth{Type: "basic", Username: u.User.Username(), Password: upstream.Hide(password)}
		}
		u.User = nil
	}
	if m.isSelf(u) {
		return errSelf
	}
	f.URL, f.Secret = u.String(), f.Auth.Type != ""
	return nil
}

// distinct drops later entries of the same address.
func distinct(list []Found) []Found {
	seen := make(map[string]bool)
	return slices.DeleteFunc(list, func(f Found) bool {
		key := strings.TrimSuffix(f.URL, "/")
		twice := f.URL != "" && seen[key]
		seen[key] = true
		return twice
	})
}
