package discover

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"larder/upstream"
)

type nugetAdd struct {
	XMLName xml.Name
	Key     string `xml:"key,attr"`
	Value   string `xml:"value,attr"`
}

// nugetFile is NuGet.Config. The order of sources matters, and <clear/> in it.
type nugetFile struct {
	Sources struct {
		Entries []nugetAdd `xml:",any"`
	} `xml:"packageSources"`
	Disabled struct {
		Entries []nugetAdd `xml:",any"`
	} `xml:"disabledPackageSources"`
	Credentials struct {
		Sources []struct {
			XMLName xml.Name
			Adds    []nugetAdd `xml:"add"`
		} `xml:",any"`
	} `xml:"packageSourceCredentials"`
}

// nugetFiles reads the user's file, and the machine's where that is silent.
func nugetFiles(_ context.Context, m *machine) ([]Found, error) {
	paths := []string{m.configPath("NuGet", "NuGet.Config"), m.userPath(".nuget", "NuGet", "NuGet.Config")}
	if appData := m.env("APPDATA"); appData != "" {
		paths = append(paths, m.systemPath(appData, "NuGet", "NuGet.Config"))
	}
	// The only error of Glob is a bad pattern, and this is a good one.
	shared, _ := filepath.Glob(m.systemPath("/etc/opt/NuGet/Config", "*.[cC]onfig"))
	var errs []error
	for _, path := range append(paths, shared...) {
		data, err := m.file(path)
		if err != nil || data == nil {
			errs = append(errs, err)
			continue
		}
		var f nugetFile
		if err := xml.Unmarshal(data, &f); err != nil {
			errs = append(errs, fmt.Errorf("nuget: %s: %w", path, err))
			continue
		}
		if found := f.found(m, path); len(found) > 0 {
			return found, errors.Join(errs...)
		}
	}
	return nil, errors.Join(errs...)
}

// found lists the sources that are addresses and are switched on; folders are
// sources too, but none that we could fetch from.
func (f nugetFile) found(m *machine, path string) []Found {
	off := make(map[string]bool)
	for _, d := range f.Disabled.Entries {
		if d.XMLName.Local == "add" {
			off[strings.ToLower(d.Key)] = strings.EqualFold(d.Value, "true")
		}
	}
	var found []Found
	for _, s := range f.Sources.Entries {
		switch {
		case s.XMLName.Local == "clear":
			found = nil
		case s.XMLName.Local == "add" && strings.Contains(s.Value, "://") && !off[strings.ToLower(s.Key)]:
			found = append(found, Found{URL: m.nugetExpand(s.Value), Auth: f.auth(m, s.Key),
				Source: fmt.Sprintf("%s, source %s", path, s.Key)})
		}
	}
	return found
}

// auth reads the credential of a source; its element is named after it.
// Encrypted passwords belong to Windows and stay closed to us.
func (f nugetFile) auth(m *machine, key string) upstream.Auth {
	for _, c := range f.Credentials.Sources {
		if !strings.EqualFold(strings.ReplaceAll(c.XMLName.Local, "_x0020_", " "), key) {
			continue
		}
		var user, password string
		for _, a := range c.Adds {
			switch strings.ToLower(a.Key) {
			case "username":
				user = m.nugetExpand(a.Value)
			case "cleartextpassword":
				password = m.nugetExpand(a.Value)
			}
		}
		if password != "" {
			return upstream.Auth{Type: "basic", Username: user, Password: upstream.Hide(password)}
		}
	}
	return upstream.Auth{}
}

// nugetExpand replaces %NAME%; unknown names stay.
func (m *machine) nugetExpand(s string) string {
	parts := strings.Split(s, "%")
	if len(parts) < 3 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(parts); i++ {
		if i > 0 && i < len(parts)-1 {
			if v, ok := m.lookup(parts[i]); ok && parts[i] != "" {
				b.WriteString(v)
				i++
				b.WriteString(parts[i])
				continue
			}
		}
		if i > 0 {
			b.WriteByte('%')
		}
		b.WriteString(parts[i])
	}
	return b.String()
}

// nugetAsked asks the tool: "E" stands before the sources that are switched on.
func nugetAsked(ctx context.Context, m *machine) ([]Found, error) {
	args := []string{"nuget", "list", "source", "--format", "Short"}
	out, err := m.ask(ctx, Command{Name: "dotnet", Args: args, Env: []string{"DOTNET_NOLOGO=1", "DOTNET_CLI_TELEMETRY_OPTOUT=1"}})
	var found []Found
	for line := range strings.Lines(out) {
		flag, address, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && strings.HasPrefix(flag, "E") && strings.Contains(address, "://") {
			found = append(found, Found{URL: address, Source: "dotnet " + strings.Join(args, " ")})
		}
	}
	return found, err
}
