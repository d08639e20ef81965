package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"larder/policy/typo"
)

// prefix begins the names of all variables.
const prefix = "LARDER_"

// environment reads variables into the configuration, in the order of their
// names. Variables that begin with no section of the file belong to others (the
// command line, a container runtime that describes its services) and are
// passed over, with a warning where one is nearly ours; within a section an
// unknown one is an error.
func (d *decoder) environment(vars []string, v reflect.Value) {
	for _, pair := range slices.Sorted(slices.Values(vars)) {
		name, value, ok := strings.Cut(pair, "=")
		rest, ours := strings.CutPrefix(name, prefix)
		if !ok || !ours || rest == "" {
			continue
		}
		d.where, d.source = "environment variable "+name, name
		if err := d.variable(rest, value, v, ""); err != nil {
			d.errs = append(d.errs, fmt.Errorf("%s: %w", d.where, err))
		}
	}
}

// variable sets what rest, the upper-case remainder of a name, leads to.
func (d *decoder) variable(rest, value string, v reflect.Value, path string) error {
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("key")
		upper := envName(key)
		if rest == upper {
			return d.leaf(value, v.Field(i), join(path, key))
		}
		below, ok := strings.CutPrefix(rest, upper+"_")
		if !ok {
			continue
		}
		switch f := v.Field(i); {
		case f.Kind() == reflect.Map:
			return d.mapVariable(below, value, f, join(path, key))
		case isSection(f):
			return d.variable(below, value, f, join(path, key))
		}
	}
	known := keysOf(v.Type())
	if path == "" {
		d.stranger(rest, known)
		return nil
	}
	if near := typo.Nearest(strings.ToLower(rest), known); near != "" {
		return fmt.Errorf("there is no key %s.%s: did you mean %s%s?", path, strings.ToLower(rest), prefix, envName(join(path, near)))
	}
	return fmt.Errorf("there is no key %s.%s: the keys are %s", path, strings.ToLower(rest), strings.Join(known, ", "))
}

// stranger warns of a variable that is one or two letters away from a key.
func (d *decoder) stranger(rest string, known []string) {
	for _, key := range known {
		if n := typo.Distance(rest, envName(key)); n == 1 || n == 2 && len(rest) > 4 {
			d.warnings = append(d.warnings, fmt.Sprintf("the environment variable %s%s is no key of the configuration: did you mean %s%s?",
				prefix, rest, prefix, envName(key)))
			return
		}
	}
}

// mapVariable finds entry and key in NAME_KEY. An entry that is there is
// preferred, so that its name may hold dashes and underscores; else the
// shortest name that leaves a known key makes a new one.
func (d *decoder) mapVariable(rest, value string, m reflect.Value, path string) error {
	names := slices.Sorted(maps.Keys(namesOf(m)))
	slices.SortStableFunc(names, func(a, b string) int { return len(b) - len(a) })
	for _, name := range names {
		if below, ok := strings.CutPrefix(rest, envName(name)+"_"); ok {
			return d.entry(below, value, m, path, name)
		}
	}
	for i, c := range rest {
		if c != '_' || i == 0 {
			continue
		}
		if reaches(m.Type().Elem(), rest[i+1:]) {
			return d.entry(rest[i+1:], value, m, path, strings.ToLower(rest[:i]))
		}
	}
	return fmt.Errorf("want %s%s_<NAME>_<KEY>, with a key of %s", prefix, envName(path), strings.Join(keysOf(m.Type().Elem()), ", "))
}

func (d *decoder) entry(rest, value string, m reflect.Value, path, name string) error {
	entry := d.fresh(m.Type().Elem(), name)
	if old := m.MapIndex(reflect.ValueOf(name)); old.IsValid() {
		entry.Set(old)
	}
	if err := d.variable(rest, value, entry, join(path, name)); err != nil {
		return err
	}
	m.SetMapIndex(reflect.ValueOf(name), entry)
	return nil
}

// leaf sets one key from a variable's value. An empty value sets the zero.
func (d *decoder) leaf(value string, v reflect.Value, path string) error {
	switch {
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String:
		v.Set(reflect.ValueOf(splitList(value)))
	case v.Kind() == reflect.Slice:
		before := len(d.errs)
		v.SetZero()
		d.document([]byte(value), v, path)
		if len(d.errs) > before {
			return nil // already told, with its line
		}
	case v.Kind() == reflect.Map, isSection(v):
		return fmt.Errorf("%s is a section: name one of its keys", path)
	case value == "" && !isText(v):
		return fmt.Errorf("%s: the value is empty: unset the variable to take the default", path)
	default:
		if err := d.scalar(value, v); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	d.sources[path] = d.source
	return nil
}

// splitList reads a comma separated list.
func splitList(s string) []string {
	var list []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

// reaches reports whether the rest of a variable's name leads to a key of t.
func reaches(t reflect.Type, rest string) bool {
	for i := range t.NumField() {
		f := t.Field(i)
		upper := envName(f.Tag.Get("key"))
		if rest == upper {
			return true
		}
		if below, ok := strings.CutPrefix(rest, upper+"_"); ok && isSection(reflect.Zero(f.Type)) && reaches(f.Type, below) {
			return true
		}
	}
	return false
}

func namesOf(m reflect.Value) map[string]bool {
	names := map[string]bool{}
	for _, k := range m.MapKeys() {
		names[k.String()] = true
	}
	return names
}

// envName turns the path of a key into the rest of its variable's name.
func envName(path string) string {
	return strings.Map(func(r rune) rune {
		if r == '.' || r == '-' {
			return '_'
		}
		return r
	}, strings.ToUpper(path))
}

// Key is one key of the configuration, for listings and tests.
type Key struct {
	Path    string // as in the file; <name> stands for a name of one's own, [] for an element
	Env     string // variable that sets it; "" where only its list can be set
	Default string // as in the file
	Secret  bool
}

// Keys lists every key that can be set, in the order of the structs.
func Keys() []Key {
	var list []Key
	d := decoder{}
	walk(reflect.ValueOf(Default(nil)), "", &d, &list)
	return list
}

func walk(v reflect.Value, path string, d *decoder, list *[]Key) {
	t := v.Type()
	for i := range t.NumField() {
		f, key := v.Field(i), join(path, t.Field(i).Tag.Get("key"))
		switch {
		case f.Kind() == reflect.Map:
			walk(d.fresh(f.Type().Elem(), ""), key+".<name>", d, list)
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			*list = append(*list, Key{Path: key, Env: prefix + envName(key), Default: "[]"})
			walk(d.fresh(f.Type().Elem(), ""), key+"[]", d, list)
		case isSection(f):
			walk(f, key, d, list)
		default:
			*list = append(*list, Key{Path: key, Env: variableOf(key), Default: show(f), Secret: f.Type() == reflect.TypeFor[Secret]()})
		}
	}
}

func variableOf(key string) string {
	if strings.Contains(key, "[]") {
		return ""
	}
	return prefix + envName(key)
}

// show writes a value as the file would.
func show(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case []string:
		return "[" + strings.Join(x, ", ") + "]"
	case string:
		if x == "" {
			return `""`
		}
		return x
	case Secret:
		if x.IsZero() {
			return `""`
		}
		return x.String()
	case Date:
		if x.IsZero() {
			return `""`
		}
		return x.String()
	case Rate:
		if x == (Rate{}) {
			return `""`
		}
		return x.String()
	}
	return fmt.Sprint(v.Interface())
}

// Value is one key as it is configured.
type Value struct {
	Key    string `json:"key"`
	Value  string `json:"value"`  // as in the file; secrets are hidden
	Source string `json:"source"` // what set it; "default" for nothing
}

// Values lists every key with its value, entries of maps and lists one by one.
func (l *Loaded) Values() []Value {
	var list []Value
	l.list(reflect.ValueOf(l.Config), "", &list)
	return list
}

func (l *Loaded) list(v reflect.Value, path string, out *[]Value) {
	switch {
	case isSection(v):
		for i := range v.NumField() {
			l.list(v.Field(i), join(path, v.Type().Field(i).Tag.Get("key")), out)
		}
	case v.Kind() == reflect.Map:
		for _, name := range slices.Sorted(maps.Keys(namesOf(v))) {
			l.list(v.MapIndex(reflect.ValueOf(name)), join(path, name), out)
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			l.list(v.Index(i), fmt.Sprintf("%s[%d]", path, i), out)
		}
	default:
		source := l.Sources[path]
		if source == "" {
			source = "default"
		}
		*out = append(*out, Value{path, show(v), source})
	}
}
