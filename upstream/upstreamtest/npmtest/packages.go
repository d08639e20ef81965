package npmtest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// epoch is when the first version of every package was published: long enough
// ago for clients that refuse young versions. The next ones follow day by day.
func epoch() time.Time { return time.Date(2024, time.January, 1, 12, 0, 0, 0, time.UTC) }

// pkg is a package; its documents are made once per change.
type pkg struct {
	name      string
	versions  map[string]*version
	tags      map[string]string // those set on purpose
	times     map[string]time.Time
	documents map[bool]document // by abbreviated
}

type version struct {
	manifest map[string]any
	tarball  []byte
}

// Add adds a version, or replaces it. The manifest needs name and version.
func (r *Registry) Add(manifest map[string]any, tarball []byte) error {
	name, number, err := identity(manifest)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.packages[name]
	if p == nil {
		p = &pkg{
			name: name, versions: make(map[string]*version), tags: make(map[string]string),
			times: make(map[string]time.Time),
		}
		r.packages[name] = p
	}
	p.versions[number] = &version{manifest: maps.Clone(manifest), tarball: tarball}
	p.documents = nil
	return nil
}

// Remove removes one version, or the whole package when number is "".
func (r *Registry) Remove(name, number string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.packages[name]
	if number == "" || p == nil {
		delete(r.packages, name)
		return
	}
	delete(p.versions, number)
	p.documents = nil
}

// Tag sets a tag of a package that was added. Without a tag "latest" the
// highest version that is no pre-release has it.
func (r *Registry) Tag(name, tag, number string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.packages[name]
	if p == nil {
		return fmt.Errorf("tag %s of %s: no such package", tag, name)
	}
	p.tags[tag] = number
	p.documents = nil
	return nil
}

// Published sets when a version came out.
func (r *Registry) Published(name, number string, at time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.packages[name]
	if p == nil {
		return fmt.Errorf("date %s@%s: no such package", name, number)
	}
	p.times[number] = at.UTC()
	p.documents = nil
	return nil
}

// AddFS adds every package found in dir. A folder with a package.json is one
// version; name and version may be left out there, as in NAME/VERSION/package.json.
// Beside the versions of a package, tags.json maps tags to versions and
// times.json versions to dates; advisories.json at the top maps package names to
// what an audit answers.
func (r *Registry) AddFS(dir fs.FS) error {
	return fs.WalkDir(dir, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		switch {
		case name == "advisories.json":
			err = readJSON(dir, name, &r.advisories)
		case path.Base(name) == "package.json":
			err = r.addFolder(dir, path.Dir(name))
		}
		return err
	})
}

func (r *Registry) addFolder(dir fs.FS, folder string) error {
	sub, err := fs.Sub(dir, folder)
	if err != nil {
		return fmt.Errorf("package folder %s: %w", folder, err)
	}
	files, err := Files(sub)
	if err != nil {
		return err
	}
	manifest := make(map[string]any)
	if err := json.Unmarshal(files["package.json"], &manifest); err != nil {
		return fmt.Errorf("manifest in %s: %w", folder, err)
	}
	parent, number := path.Split(folder)
	parent = strings.TrimSuffix(parent, "/")
	if manifest["name"] == nil {
		manifest["name"] = parent
	}
	if manifest["version"] == nil {
		manifest["version"] = number
	}
	if files["package.json"], err = json.Marshal(manifest); err != nil {
		return fmt.Errorf("manifest in %s: %w", folder, err)
	}
	tarball, err := Pack(files)
	if err != nil {
		return err
	}
	if err := r.Add(manifest, tarball); err != nil {
		return err
	}
	return r.addNotes(dir, parent, manifest["name"].(string))
}

// addNotes reads the files that lie beside the versions of a package.
func (r *Registry) addNotes(dir fs.FS, parent, name string) error {
	tags := make(map[string]string)
	if err := readJSON(dir, path.Join(parent, "tags.json"), &tags); err != nil {
		return err
	}
	for tag, number := range tags {
		if err := r.Tag(name, tag, number); err != nil {
			return err
		}
	}
	times := make(map[string]time.Time)
	if err := readJSON(dir, path.Join(parent, "times.json"), &times); err != nil {
		return err
	}
	for number, at := range times {
		if err := r.Published(name, number, at); err != nil {
			return err
		}
	}
	return nil
}

// readJSON reads a file into v; a missing one leaves v as it is.
func readJSON(dir fs.FS, name string, v any) error {
	data, err := fs.ReadFile(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// compare orders versions by their numbers, pre-releases first.
func compare(a, b string) int {
	coreA, preA, isPreA := strings.Cut(a, "-")
	coreB, preB, isPreB := strings.Cut(b, "-")
	if c := slices.CompareFunc(strings.Split(coreA, "."), strings.Split(coreB, "."), compareNumbers); c != 0 {
		return c
	}
	switch {
	case isPreA != isPreB && isPreA:
		return -1
	case isPreA != isPreB:
		return 1
	}
	return slices.CompareFunc(strings.Split(preA, "."), strings.Split(preB, "."), compareNumbers)
}

func compareNumbers(a, b string) int {
	x, errX := strconv.Atoi(a)
	y, errY := strconv.Atoi(b)
	if errX != nil || errY != nil {
		return strings.Compare(a, b)
	}
	return cmp.Compare(x, y)
}
