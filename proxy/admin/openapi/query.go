package openapi

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// Parameter is one parameter of a call.
type Parameter struct {
	Name        string  `json:"name"`
	In          string  `json:"in"` // "query" or "path"
	Description string  `json:"description,omitempty"`
	Required    bool    `json:"required,omitempty"`
	Schema      *Schema `json:"schema"`
}

// Query lists the parameters of a struct.
func (t *Types) Query(rt reflect.Type) ([]Parameter, error) {
	var list []Parameter
	for _, f := range reflect.VisibleFields(rt) {
		name := f.Tag.Get("query")
		if f.Anonymous {
			continue
		}
		s, err := t.described(f)
		if err == nil && name == "" {
			err = errors.New("it has no name in a query")
		}
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", rt, f.Name, err)
		}
		p := Parameter{Name: name, In: "query", Description: s.Description, Required: f.Tag.Get("required") == "true", Schema: s}
		s.Description = ""
		list = append(list, p)
	}
	return list, nil
}

// Read fills a struct from a query as the parameters of its type say: all that
// is there must be known, once, and within its bounds. What is not there takes
// its default. Errors are sentences.
func Read(list []Parameter, query url.Values, v reflect.Value) error {
	for name, values := range query {
		known := slices.ContainsFunc(list, func(p Parameter) bool { return p.Name == name })
		switch {
		case !known:
			return Unknown("query parameter", name, names(list))
		case len(values) > 1:
			return fmt.Errorf("the query parameter %s is there %d times", name, len(values))
		}
	}
	for _, p := range list {
		text, given := query.Get(p.Name), query.Has(p.Name)
		if !given && p.Required {
			return fmt.Errorf("the query parameter %s is missing: %s", p.Name, p.Description)
		}
		if !given && p.Schema.Default != nil {
			text, given = fmt.Sprint(p.Schema.Default), true
		}
		if !given {
			continue
		}
		if err := p.read(text, fieldOf(v, p.Name)); err != nil {
			return err
		}
	}
	return nil
}

func names(list []Parameter) (all []string) {
	for _, p := range list {
		all = append(all, p.Name)
	}
	return all
}

// fieldOf finds a parameter's field, which Query has seen.
func fieldOf(v reflect.Value, name string) reflect.Value {
	for _, f := range reflect.VisibleFields(v.Type()) {
		if f.Tag.Get("query") == name {
			return v.FieldByIndex(f.Index)
		}
	}
	return reflect.Value{}
}

// read takes one text.
func (p Parameter) read(value string, to reflect.Value) error {
	where := "the query parameter " + p.Name
	if at, ok := to.Addr().Interface().(*time.Time); ok {
		t, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return fmt.Errorf("%s=%.40q is no time such as 2026-01-31T00:00:00Z", where, value)
		}
		*at = t
		return nil
	}
	switch p.Schema.Type {
	case "boolean":
		if value != "true" && value != "false" {
			return fmt.Errorf("%s=%.20q is neither true nor false", where, value)
		}
		to.SetBool(value == "true")
	case "integer":
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return fmt.Errorf("%s=%.20q is no whole number", where, value)
		}
		if err := p.Schema.within(where, n); err != nil {
			return err
		}
		if to.CanUint() {
			to.SetUint(uint64(n))
			return nil
		}
		to.SetInt(n)
	default:
		if err := p.Schema.text(where, value); err != nil {
			return err
		}
		to.SetString(value)
	}
	return nil
}
