package discover

import (
	"archive/zip"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"larder/upstream"
)

// central is the id that Maven itself gives the repository it always has.
const central = "central"

// superPOM is where Maven keeps the project that all projects inherit from.
const superPOM = "org/apache/maven/model/pom-4.0.0.xml"

type mavenRepository struct {
	ID  string `xml:"id"`
	URL string `xml:"url"`
}

// mavenFile is the part of settings.xml that says where central is.
type mavenFile struct {
	Mirrors []struct {
		ID       string `xml:"id"`
		URL      string `xml:"url"`
		MirrorOf string `xml:"mirrorOf"`
		Blocked  string `xml:"blocked"`
	} `xml:"mirrors>mirror"`
	Servers []struct {
		ID       string `xml:"id"`
		Username string `xml:"username"`
		Password string `xml:"password"`
	} `xml:"servers>server"`
	Profiles []struct {
		ID           string            `xml:"id"`
		Active       string            `xml:"activation>activeByDefault"`
		Repositories []mavenRepository `xml:"repositories>repository"`
	} `xml:"profiles>profile"`
	ActiveProfiles []string `xml:"activeProfiles>activeProfile"`
}

// mavenSettings looks for a mirror of central, or another address of it in a
// profile that is switched on: in the user's file, then in Maven's own.
func mavenSettings(_ context.Context, m *machine) ([]Found, error) {
	paths := []string{m.userPath(".m2", "settings.xml")}
	for _, home := range m.mavenHomes() {
		paths = append(paths, filepath.Join(home, "conf", "settings.xml"))
	}
	var found []Found
	var errs []error
	for _, path := range paths {
		data, err := m.file(path)
		if err == nil && data != nil {
			var f mavenFile
			if err = xml.Unmarshal(data, &f); err == nil {
				found = append(found, f.central(m, path)...)
				continue
			}
			err = fmt.Errorf("%s: %w", path, err)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("maven: %w", err))
		}
	}
	return found, errors.Join(errs...)
}

func (f mavenFile) central(m *machine, path string) []Found {
	for _, mirror := range f.Mirrors {
		if mirrorsCentral(mirror.MirrorOf) && strings.TrimSpace(mirror.Blocked) != "true" {
			return []Found{{URL: m.mavenExpand(mirror.URL), Auth: f.auth(m, mirror.ID),
				Source: fmt.Sprintf("%s, mirror %s", path, mirror.ID)}}
		}
	}
	var found []Found
	for _, p := range f.Profiles {
		if strings.TrimSpace(p.Active) != "true" && !slices.Contains(f.ActiveProfiles, p.ID) {
			continue
		}
		for _, r := range p.Repositories {
			if r.ID == central {
				found = append(found, Found{URL: m.mavenExpand(r.URL), Auth: f.auth(m, r.ID),
					Source: fmt.Sprintf("%s, profile %s", path, p.ID)})
			}
		}
	}
	return found
}

// mirrorsCentral reads mirrorOf: ids between commas, * for all, external:* for
// all that are not on this machine, and ! in front of an exception.
func mirrorsCentral(list string) bool {
	match := false
	for entry := range strings.SplitSeq(list, ",") {
		switch strings.TrimSpace(entry) {
		case "!" + central:
			return false
		case central, "*", "external:*":
			match = true
		}
	}
	return match
}

// auth is the credential of a server, unless Maven keeps it encrypted.
func (f mavenFile) auth(m *machine, id string) upstream.Auth {
	for _, s := range f.Servers {
		password := m.mavenExpand(strings.TrimSpace(s.Password))
		encrypted := strings.HasPrefix(password, "{") && strings.HasSuffix(password, "}")
		if s.ID == id && s.Username != "" && !encrypted {
			return upstream.Auth{Type: "basic", Username: m.mavenExpand(s.Username), Password: upstream.Hide(password)}
		}
	}
	return upstream.Auth{}
}

// mavenExpand replaces ${env.NAME} and ${user.home}.
func (m *machine) mavenExpand(s string) string {
	s = strings.ReplaceAll(strings.TrimSpace(s), "${user.home}", m.home)
	return regexp.MustCompile(`\$\{env\.[^${}]+\}`).ReplaceAllStringFunc(s, func(ref string) string {
		if v, ok := m.lookup(ref[len("${env.") : len(ref)-1]); ok {
			return v
		}
		return ref
	})
}

// mavenHomes are the folders of installed Mavens, that of mvn on PATH first,
// then those that Maven wrappers have downloaded.
func (m *machine) mavenHomes() []string {
	var homes []string
	if at := m.installed("mvn"); at != "" {
		homes = append(homes, filepath.Dir(filepath.Dir(at)))
	}
	for _, name := range []string{"MAVEN_HOME", "M2_HOME"} {
		if v := m.env(name); v != "" {
			homes = append(homes, m.systemPath(v))
		}
	}
	for _, pattern := range []string{"apache-maven-*/*/*/lib", "apache-maven-*/*/lib"} {
		if base := m.userPath(".m2", "wrapper", "dists"); base != "" {
			// The only error is a bad pattern, and these are good.
			libs, _ := filepath.Glob(filepath.Join(base, pattern))
			slices.Reverse(libs) // newest last in the order of names
			for _, lib := range libs {
				homes = append(homes, filepath.Dir(lib))
			}
		}
	}
	return homes
}

// mavenSuperPOM reads the address out of the library in which Maven keeps it.
func mavenSuperPOM(_ context.Context, m *machine) ([]Found, error) {
	var errs []error
	for _, home := range m.mavenHomes() {
		jars, err := filepath.Glob(filepath.Join(home, "lib", "maven-model-builder*.jar"))
		if err != nil {
			errs = append(errs, fmt.Errorf("maven: folder %s: %w", home, err))
			continue
		}
		for _, jar := range jars {
			address, err := centralOf(jar)
			if err != nil {
				errs = append(errs, fmt.Errorf("maven: %s: %w", jar, err))
				continue
			}
			return []Found{{URL: address, Source: "Maven's super POM in " + jar}}, errors.Join(errs...)
		}
	}
	return nil, errors.Join(errs...)
}

func centralOf(jar string) (string, error) {
	file, err := os.Open(jar)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	z, err := zip.NewReader(file, info.Size())
	if err != nil {
		return "", err
	}
	entry, err := z.Open(superPOM)
	if err != nil {
		return "", err
	}
	defer entry.Close()
	data, err := io.ReadAll(io.LimitReader(entry, maxFile))
	if err != nil {
		return "", err
	}
	var pom struct {
		Repositories []mavenRepository `xml:"repositories>repository"`
	}
	if err := xml.Unmarshal(data, &pom); err != nil {
		return "", err
	}
	for _, r := range pom.Repositories {
		if strings.TrimSpace(r.ID) == central {
			return strings.TrimSpace(r.URL), nil
		}
	}
	return "", errors.New("no repository with the id " + central)
}
