package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"larder/policy/typo"
)

// Limits of a configuration file, so that a hostile one costs little.
const (
	maxFile  = 4 << 20 // bytes; room for policy.MaxClaims claims and as many rules
	maxDepth = 20      // of nodes
)

// decoder reads nodes into the structs of this package. It goes on after a
// mistake, so that one run shows them all.
type decoder struct {
	where   string // what the lines are counted in: the file's name
	formats []string
	secret  func(string) (Secret, error)
	sources map[string]string // what set each key
	source  string
	errs    []error
	// warnings are about what may be meant for this program and is not taken.
	warnings []string
}

// note remembers what set a key. Texts with lines are named with the line.
func (d *decoder) note(n *yaml.Node, path string) {
	d.sources[path] = fmt.Sprintf("%s: line %d", d.source, n.Line)
}

func (d *decoder) fail(n *yaml.Node, format string, args ...any) {
	d.errs = append(d.errs, fmt.Errorf("%s: line %d: %s", d.where, n.Line, fmt.Sprintf(format, args...)))
}

// document decodes a whole text into v. An empty text leaves v alone.
func (d *decoder) document(text []byte, v reflect.Value, path string) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		d.errs = append(d.errs, fmt.Errorf("%s: %s", d.where, unreadable(err)))
		return
	}
	if doc.Kind == 0 || len(doc.Content) == 0 {
		return
	}
	if !d.plain(doc.Content[0], 0) {
		return
	}
	if path == "" && isNull(doc.Content[0]) {
		return
	}
	d.value(doc.Content[0], v, path)
}

// unreadable words an error of the YAML reader, which leaves out the first
// line's number.
func unreadable(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.HasPrefix(text, "found ") || strings.HasPrefix(text, "did not find ") {
		text = "line 1: " + text
	}
	if strings.Contains(text, "cannot start any token") {
		text += " (a tab? indent with blanks)"
	}
	return text
}

// plain refuses what no configuration needs: anchors, aliases and own tags
// (which could make a small file large, or a text mean something else).
func (d *decoder) plain(n *yaml.Node, depth int) bool {
	switch {
	case depth > maxDepth:
		d.fail(n, "nested more than %d levels deep", maxDepth)
		return false
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.fail(n, "anchors and aliases are not taken here: write the value out")
		return false
	case n.Style&yaml.TaggedStyle != 0:
		d.fail(n, "tags such as %s are not taken here", n.Tag)
		return false
	}
	for _, c := range n.Content {
		if !d.plain(c, depth+1) {
			return false
		}
	}
	return true
}

// value decodes one node into v, whose key is path.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Struct:
		if isSection(v) {
			d.note(n, path)
			d.object(n, v, path)
			return
		}
	case reflect.Map:
		d.entries(n, v, path)
		return
	case reflect.Slice:
		d.list(n, v, path)
		return
	}
	if n.Kind != yaml.ScalarNode || isNull(n) {
		d.fail(n, "%s: want %s, not %s", path, wanted(v), kindOf(n))
		return
	}
	if isText(v) && n.ShortTag() != "!!str" {
		// 1.10 and yes mean other things than they look like.
		if t := n.ShortTag(); t != "!!int" && t != "!!float" && t != "!!bool" && t != "!!timestamp" {
			d.fail(n, "%s: want %s, not %s", path, wanted(v), kindOf(n))
			return
		}
	}
	if err := d.scalar(n.Value, v); err != nil {
		d.fail(n, "%s: %v", path, err)
		return
	}
	d.note(n, path)
}

// isSection reports a struct of keys; dates and secrets are structs and values.
func isSection(v reflect.Value) bool {
	return v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[Date]() && v.Type() != reflect.TypeFor[Rate]() && !isSecret(v)
}

func isText(v reflect.Value) bool { return v.Kind() == reflect.String || isSecret(v) }

func isSecret(v reflect.Value) bool { return v.Type() == reflect.TypeFor[Secret]() }

// object decodes a mapping into a struct: each key must be one of its fields.
func (d *decoder) object(n *yaml.Node, v reflect.Value, path string) {
	d.pairs(n, path, func(key, value *yaml.Node) {
		field, ok := fieldOf(v, key.Value)
		if !ok {
			d.unknown(key, path, keysOf(v.Type()))
			return
		}
		d.value(value, field, join(path, key.Value))
	})
}

// pairs calls fn for each key of a mapping, once.
func (d *decoder) pairs(n *yaml.Node, path string, fn func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, "%s: want a mapping (key: value), not %s", orTop(path), kindOf(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			d.fail(key, "%s: a key must be a word, not %s", orTop(path), kindOf(key))
			continue
		}
		if line, twice := seen[key.Value]; twice {
			d.fail(key, "the key %q is there twice, first in line %d", join(path, key.Value), line)
			continue
		}
		seen[key.Value] = key.Line
		fn(key, value)
	}
}

func (d *decoder) unknown(key *yaml.Node, path string, known []string) {
	where := ""
	if path != "" {
		where = " in " + path
	}
	if near := typo.Nearest(key.Value, known); near != "" {
		d.fail(key, "unknown key %q%s: did you mean %q?", key.Value, where, near)
		return
	}
	d.fail(key, "unknown key %q%s: the keys are %s", key.Value, where, strings.Join(known, ", "))
}

// entries decodes a mapping of names to structs: each replaces the entry of
// that name, null removes it.
func (d *decoder) entries(n *yaml.Node, v reflect.Value, path string) {
	if isNull(n) {
		v.Set(reflect.MakeMap(v.Type()))
		return
	}
	d.pairs(n, path, func(key, value *yaml.Node) {
		name := reflect.ValueOf(key.Value)
		if isNull(value) {
			v.SetMapIndex(name, reflect.Value{})
			d.note(value, join(path, key.Value))
			return
		}
		entry := d.fresh(v.Type().Elem(), key.Value)
		d.value(value, entry, join(path, key.Value))
		v.SetMapIndex(name, entry)
	})
}

// fresh makes an element with its own defaults.
func (d *decoder) fresh(t reflect.Type, name string) reflect.Value {
	p := reflect.New(t)
	if e, ok := p.Interface().(defaulter); ok {
		e.withDefaults(name, d.formats)
	}
	return p.Elem()
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) {
	if isNull(n) {
		v.SetZero()
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.fail(n, "%s: want a list ([a, b]), not %s", path, kindOf(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), 0, len(n.Content))
	for i, c := range n.Content {
		e := d.fresh(v.Type().Elem(), "")
		d.value(c, e, fmt.Sprintf("%s[%d]", path, i))
		out = reflect.Append(out, e)
	}
	v.Set(out)
	d.note(n, path)
}

// scalar reads one text into a field, for the file and the environment alike.
func (d *decoder) scalar(text string, v reflect.Value) error {
	switch p := v.Addr().Interface().(type) {
	case *Duration:
		return assign(p, text, ParseDuration)
	case *Size:
		return assign(p, text, ParseSize)
	case *Date:
		return assign(p, text, ParseDate)
	case *Rate:
		return assign(p, text, ParseRate)
	case *int:
		return assign(p, text, parseCount)
	case *Secret:
		return assign(p, text, d.secret)
	case *bool:
		return assign(p, text, parseBool)
	case *string:
		*p = text
		return nil
	}
	return fmt.Errorf("fields of type %s cannot be configured", v.Type())
}

func assign[T any](p *T, text string, parse func(string) (T, error)) error {
	v, err := parse(text)
	if err == nil {
		*p = v
	}
	return err
}

func parseBool(s string) (bool, error) {
	if s != "true" && s != "false" {
		return false, fmt.Errorf("%q is neither true nor false: write true or false", s)
	}
	return s == "true", nil
}

func parseCount(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number: write digits alone", s)
	}
	return n, nil
}

func fieldOf(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("key") == key {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		keys = append(keys, t.Field(i).Tag.Get("key"))
	}
	return keys
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func orTop(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "nothing"
	}
	return strconv.Quote(n.Value)
}

func wanted(v reflect.Value) string {
	switch v.Interface().(type) {
	case Duration:
		return "a duration such as 5m"
	case Size:
		return "a size such as 64MiB"
	case Date:
		return "a date such as 2027-01-31"
	case Rate:
		return "a rate such as 100/6h"
	case int:
		return "a number"
	case bool:
		return "true or false"
	}
	return "a text"
}
