package openapi

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"larder/policy/typo"
)

// Check says what is wrong with a JSON value, decoded into any, in a sentence
// that names the field. It is nil exactly where a validator of JSON Schema finds
// nothing either; of formats it checks none.
func (t *Types) Check(s *Schema, v any) error { return t.check(s, "", v) }

func (t *Types) check(s *Schema, at string, v any) error {
	if name, ok := strings.CutPrefix(s.Ref, componentPath); ok {
		s = t.components[name]
	}
	switch v := v.(type) {
	case map[string]any:
		if s.Type == "object" {
			return t.object(s, at, v)
		}
	case []any:
		if s.Type == "array" {
			return t.array(s, at, v)
		}
	case string:
		if s.Type == "string" {
			return s.text(field(at), v)
		}
	case float64:
		if s.Type == "integer" {
			return s.number(field(at), v)
		}
	case bool:
		if s.Type == "boolean" {
			return nil
		}
	}
	if s.Type == "" {
		return nil
	}
	return fmt.Errorf("%s must be %s, not %s", field(at), kind(s), found(v))
}

func (t *Types) object(s *Schema, at string, v map[string]any) error {
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			return fmt.Errorf("%s is missing%s", field(at+name), choices(s.Properties[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		part := s.Properties[name]
		if part == nil {
			if part, _ = s.Additional.(*Schema); part == nil {
				return Unknown("field", at+name, slices.Sorted(maps.Keys(s.Properties)))
			}
		}
		if err := t.check(part, at+name+".", v[name]); err != nil {
			return err
		}
	}
	return nil
}

func (t *Types) array(s *Schema, at string, v []any) error {
	n := int64(len(v))
	switch {
	case s.MinItems != nil && n < *s.MinItems:
		return fmt.Errorf("%s has %d entries: at least %d are needed", field(at), n, *s.MinItems)
	case s.MaxItems != nil && n > *s.MaxItems:
		return fmt.Errorf("%s has %d entries: at most %d are taken", field(at), n, *s.MaxItems)
	}
	for i, item := range v {
		if err := t.check(s.Items, fmt.Sprintf("%s%d.", at, i), item); err != nil {
			return err
		}
	}
	return nil
}

// text checks a string; where names its place.
func (s *Schema) text(where, v string) error {
	n := int64(utf8.RuneCountInString(v))
	switch {
	case s.Enum != nil && !slices.Contains(s.Enum, v):
		return fmt.Errorf("%s cannot be %.40q%s", where, v, choices(s))
	case s.MinLength != nil && n < *s.MinLength:
		if n == 0 {
			return fmt.Errorf("%s is empty", where)
		}
		return fmt.Errorf("%s has %d characters: at least %d are needed", where, n, *s.MinLength)
	case s.MaxLength != nil && n > *s.MaxLength:
		return fmt.Errorf("%s has %d characters: at most %d are taken", where, n, *s.MaxLength)
	}
	return nil
}

func (s *Schema) number(where string, v float64) error {
	if v != math.Trunc(v) || math.Abs(v) >= 1<<63 {
		return fmt.Errorf("%s must be a whole number, of at most 63 bits", where)
	}
	return s.within(where, int64(v))
}

func (s *Schema) within(where string, n int64) error {
	switch {
	case s.Minimum != nil && n < *s.Minimum:
		return fmt.Errorf("%s cannot be below %d", where, *s.Minimum)
	case s.Maximum != nil && n > *s.Maximum:
		return fmt.Errorf("%s cannot be above %d", where, *s.Maximum)
	}
	return nil
}

// field names a place; "" is the value as a whole.
func field(at string) string {
	if at == "" {
		return "the body"
	}
	return fmt.Sprintf("the field %.80q", strings.TrimSuffix(at, "."))
}

func choices(s *Schema) string {
	if len(s.Enum) == 0 {
		return ""
	}
	return ": use " + strings.Join(s.Enum, ", ")
}

func kind(s *Schema) string {
	switch s.Type {
	case "integer":
		return "a whole number"
	case "boolean":
		return "true or false"
	case "array":
		return "a list"
	case "object":
		return "an object"
	}
	return "a string"
}

func found(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "a string"
	case float64:
		return "a number"
	}
	return "true or false"
}

// Unknown is an error about a name that there is not, which names the nearest
// of those that there are, or all of them.
func Unknown(what, name string, known []string) error {
	near := typo.Nearest(name, known)
	switch {
	case len(known) == 0:
		return fmt.Errorf("there is no %s %.80q: this call takes none", what, name)
	case near == "":
		return fmt.Errorf("there is no %s %.80q: use %s", what, name, strings.Join(known, ", "))
	}
	return fmt.Errorf("there is no %s %.80q: did you mean %s?", what, name, near)
}
