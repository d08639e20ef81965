package openapi

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Schema is a JSON Schema. The zero value takes anything.
type Schema struct {
	Ref         string             `json:"$ref,omitempty"`
	Type        string             `json:"type,omitempty"`
	Format      string             `json:"format,omitempty"`
	Description string             `json:"description,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Default     any                `json:"default,omitempty"`
	Minimum     *int64             `json:"minimum,omitempty"`
	Maximum     *int64             `json:"maximum,omitempty"`
	MinLength   *int64             `json:"minLength,omitempty"` // characters
	MaxLength   *int64             `json:"maxLength,omitempty"`
	MinItems    *int64             `json:"minItems,omitempty"`
	MaxItems    *int64             `json:"maxItems,omitempty"`
	Items       *Schema            `json:"items,omitempty"`
	Properties  map[string]*Schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	// Additional is false for an object without further fields, a *Schema for a
	// map, nil where anything may follow.
	Additional any `json:"additionalProperties,omitempty"`
}

// Types makes schemas of Go types. It is filled by one goroutine; then Check may
// be called by many.
type Types struct {
	// Words are the types of which there is only one text each.
	Words map[reflect.Type][]string
	// Names of components where the name of the type does not do.
	Names map[reflect.Type]string
	// As are types that are written as others.
	As map[reflect.Type]reflect.Type

	components map[string]*Schema
	owners     map[string]reflect.Type // of components
}

// Components are the schemas of structs by name.
func (t *Types) Components() map[string]*Schema { return t.components }

const componentPath = "#/components/schemas/"

// Of returns the schema of a type; that of a struct refers to a component. An
// error names what JSON cannot say, or what lacks its words.
func (t *Types) Of(rt reflect.Type) (*Schema, error) {
	if as, ok := t.As[rt]; ok {
		rt = as
	}
	if words, ok := t.Words[rt]; ok {
		return &Schema{Type: "string", Enum: words}, nil
	}
	switch {
	case rt == reflect.TypeFor[time.Time]():
		return &Schema{Type: "string", Format: "date-time"}, nil
	case rt == reflect.TypeFor[json.RawMessage]():
		return &Schema{}, nil
	case rt.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return &Schema{Type: "string"}, nil
	}
	switch rt.Kind() {
	case reflect.Pointer:
		return t.Of(rt.Elem())
	case reflect.String:
		return &Schema{Type: "string"}, nil
	case reflect.Bool:
		return &Schema{Type: "boolean"}, nil
	case reflect.Int, reflect.Int64:
		return &Schema{Type: "integer", Format: "int64"}, nil
	case reflect.Uint64:
		return &Schema{Type: "integer", Minimum: new(int64)}, nil
	case reflect.Slice:
		items, err := t.Of(rt.Elem())
		return &Schema{Type: "array", Items: items}, err
	case reflect.Map:
		values, err := t.Of(rt.Elem())
		if err == nil && rt.Key().Kind() != reflect.String {
			err = fmt.Errorf("%s: its keys are no texts", rt)
		}
		return &Schema{Type: "object", Additional: values}, err
	case reflect.Struct:
		return t.component(rt)
	}
	return nil, fmt.Errorf("%s has no schema", rt)
}

// component returns a reference to the schema of a struct.
func (t *Types) component(rt reflect.Type) (*Schema, error) {
	name := t.Names[rt]
	if name == "" {
		name = strings.ToUpper(rt.Name()[:1]) + rt.Name()[1:]
	}
	ref := &Schema{Ref: componentPath + name}
	if owner, ok := t.owners[name]; ok {
		if owner != rt {
			return nil, fmt.Errorf("%s and %s are both named %s", owner, rt, name)
		}
		return ref, nil
	}
	if t.components == nil {
		t.components, t.owners = map[string]*Schema{}, map[string]reflect.Type{}
	}
	s := &Schema{Type: "object", Additional: false, Properties: map[string]*Schema{}}
	t.owners[name], t.components[name] = rt, s // before its fields, which may hold it again
	return ref, t.fields(s, rt)
}

// fields adds those of a struct to an object, with those of what it embeds.
func (t *Types) fields(s *Schema, rt reflect.Type) error {
	for f := range structFields(rt) {
		tag, named := f.Tag.Lookup("json")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case f.Anonymous && !named:
			if err := t.fields(s, f.Type); err != nil {
				return err
			}
			continue
		case !f.IsExported() || tag == "-":
			continue
		case name == "":
			return fmt.Errorf("%s.%s has no name in JSON", rt, f.Name)
		}
		field, err := t.described(f)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", rt, f.Name, err)
		}
		s.Properties[name] = field
		if !strings.Contains(options, "omit") {
			s.Required = append(s.Required, name)
		}
	}
	slices.Sort(s.Required)
	return nil
}

func structFields(rt reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range rt.NumField() {
			if !yield(rt.Field(i)) {
				return
			}
		}
	}
}

// described is the schema of a field with what its tags say.
func (t *Types) described(f reflect.StructField) (*Schema, error) {
	s, err := t.Of(f.Type)
	if err != nil {
		return nil, err
	}
	if s.Description = f.Tag.Get("doc"); s.Description == "" {
		return nil, errors.New("nobody says what it means")
	}
	if words := f.Tag.Get("enum"); words != "" {
		s.Enum = strings.Split(words, ",")
	}
	if s.Default, err = defaultOf(s, f.Tag.Get("default")); err != nil {
		return nil, err
	}
	low, high := &s.MinLength, &s.MaxLength
	switch s.Type {
	case "integer":
		low, high = &s.Minimum, &s.Maximum
	case "array":
		low, high = &s.MinItems, &s.MaxItems
	}
	return s, errors.Join(bound(low, f.Tag.Get("min")), bound(high, f.Tag.Get("max")))
}

func bound(to **int64, text string) error {
	if text == "" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	*to = &n
	return err
}

// defaultOf reads the text of a tag as the schema says.
func defaultOf(s *Schema, text string) (any, error) {
	switch {
	case text == "":
		return nil, nil
	case s.Type == "integer":
		return strconv.ParseInt(text, 10, 64)
	case s.Type == "boolean":
		return strconv.ParseBool(text)
	}
	return text, nil
}
