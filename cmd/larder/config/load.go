package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
)

// Source says where a configuration comes from.
type Source struct {
	// File is read when it is not ""; it must exist then.
	File string
	// Env holds "NAME=value" pairs, as os.Environ returns them.
	Env []string
	// Formats are the words that this build knows.
	Formats []string
	// Flags sets what flags say, last of all, and notes their keys with set.
	Flags func(c *Config, set func(key string)) error
}

// Loaded is a configuration that passed Check.
type Loaded struct {
	Config
	// Sources names, by key, the file and line, variable or "flag" that set it.
	// What is missing has its default.
	Sources map[string]string
	// Warnings are sentences about what is allowed and still worth a look.
	Warnings []string
}

// Load reads and checks a configuration. The error joins everything that is
// wrong, one sentence per line; those about the file name its line.
func Load(src Source) (*Loaded, error) {
	out := &Loaded{Config: Default(src.Formats), Sources: map[string]string{}}
	env := variables(src.Env)
	d := &decoder{
		formats: src.Formats, sources: out.Sources,
		secret: func(text string) (Secret, error) { return expand(text, env, reader(filepath.Dir(src.File))) },
	}
	root := reflect.ValueOf(&out.Config).Elem()
	if src.File != "" {
		text, err := readFile(src.File, maxFile)
		if err != nil {
			return nil, fmt.Errorf("configuration file: %w", err)
		}
		d.where, d.source = src.File, src.File
		d.document(text, root, "")
		out.anchor(filepath.Dir(src.File))
	}
	d.environment(src.Env, root)
	if src.Flags != nil {
		if err := src.Flags(&out.Config, func(key string) { out.Sources[key] = flagSource }); err != nil {
			d.errs = append(d.errs, err)
		}
	}
	if err := errors.Join(d.errs...); err != nil {
		return nil, err
	}
	check := &checker{Config: &out.Config, formats: src.Formats, sources: out.Sources}
	warnings, err := check.run()
	if err != nil {
		return nil, err
	}
	out.Warnings = append(d.warnings, warnings...)
	return out, nil
}

// anchor makes the paths that the file holds relative to its folder: a server
// is started from anywhere.
func (l *Loaded) anchor(dir string) {
	for _, path := range []*string{&l.Data, &l.TLS.Cert, &l.TLS.Key} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
}

// flagSource is the source of keys that a flag set.
const flagSource = "flag"

// Explicit reports whether anybody set a key.
func (l *Loaded) Explicit(key string) bool { return l.Sources[key] != "" }

func variables(env []string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, pair := range env {
			if len(pair) > len(name) && pair[len(name)] == '=' && pair[:len(name)] == name {
				return pair[len(name)+1:], true
			}
		}
		return "", false
	}
}

// reader reads files named relative to a folder.
func reader(dir string) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return readFile(path, maxSecretFile)
	}
}

// readFile reads a file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("%s is larger than %s", path, Size(limit))
	}
	return text, nil
}
