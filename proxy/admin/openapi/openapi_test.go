package openapi

import (
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

type color string

type inner struct {
	Name string `json:"name,omitempty" min:"2" max:"3" doc:"Name."`
}

type outer struct {
	inner
	Color color            `json:"color" doc:"Color."`
	Count int              `json:"count,omitempty" min:"1" max:"9" doc:"Count."`
	List  []inner          `json:"list,omitempty" min:"1" max:"2" doc:"List."`
	Map   map[string]inner `json:"map,omitempty" doc:"Map."`
	Flag  *bool            `json:"flag,omitempty" doc:"Flag."`
	Any   json.RawMessage  `json:"any,omitempty" doc:"Any."`
	Again *outer           `json:"again,omitempty" doc:"Again."`
	Left  string           `json:"-"`
}

func typesOf(t *testing.T) (*Types, *Schema) {
	t.Helper()
	types := &Types{Words: map[reflect.Type][]string{reflect.TypeFor[color](): {"red", "blue"}}}
	s, err := types.Of(reflect.TypeFor[outer]())
	if err != nil {
		t.Fatal(err)
	}
	return types, s
}

func TestSchema(t *testing.T) {
	types, s := typesOf(t)
	got, err := json.Marshal(map[string]any{"it": s, "parts": types.Components()})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"it":{"$ref":"#/components/schemas/Outer"},"parts":{` +
		`"Inner":{"type":"object","properties":{"name":{"type":"string","description":"Name.","minLength":2,"maxLength":3}},"additionalProperties":false},` +
		`"Outer":{"type":"object","properties":{` +
		`"again":{"$ref":"#/components/schemas/Outer","description":"Again."},"any":{"description":"Any."},` +
		`"color":{"type":"string","description":"Color.","enum":["red","blue"]},` +
		`"count":{"type":"integer","format":"int64","description":"Count.","minimum":1,"maximum":9},` +
		`"flag":{"type":"boolean","description":"Flag."},` +
		`"list":{"type":"array","description":"List.","minItems":1,"maxItems":2,"items":{"$ref":"#/components/schemas/Inner"}},` +
		`"map":{"type":"object","description":"Map.","additionalProperties":{"$ref":"#/components/schemas/Inner"}},` +
		`"name":{"type":"string","description":"Name.","minLength":2,"maxLength":3}},` +
		`"required":["color"],"additionalProperties":false}}}`
	if string(got) != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestTypesWithoutASchema(t *testing.T) {
	for _, v := range []any{
		make(chan int), 1.5, map[int]string{}, struct{ Name string }{},
		struct {
			Name string `json:"name"`
		}{},
		struct {
			Name string `json:"name" doc:"Name." max:"x"`
		}{},
		struct {
			Count int `json:"count" doc:"Count." default:"x"`
		}{},
	} {
		types := &Types{Names: map[reflect.Type]string{reflect.TypeOf(v): "It"}}
		if s, err := types.Of(reflect.TypeOf(v)); err == nil {
			t.Errorf("%T has the schema %+v", v, s)
		}
	}
}

func TestCheck(t *testing.T) {
	types, s := typesOf(t)
	for body, words := range map[string]string{
		`{"color":"red"}`: "",
		`{"color":"red","name":"ab","count":9,"list":[{}],"map":{"x":{"name":"abc"}},"flag":false,"any":[null],"again":{"color":"blue"}}`: "",
		`{}`:                                   `the field "color" is missing: use red, blue`,
		`[]`:                                   "the body must be an object, not a list",
		`null`:                                 "the body must be an object, not null",
		`{"color":"green"}`:                    `the field "color" cannot be "green": use red, blue`,
		`{"color":"red","colour":1}`:           `there is no field "colour": did you mean color?`,
		`{"color":"red","zzzzzzzz":1}`:         `there is no field "zzzzzzzz": use again, any, color`,
		`{"color":"red","Count":1}`:            `there is no field "Count": did you mean count?`,
		`{"color":"red","Left":"x"}`:           `there is no field "Left"`,
		`{"color":"red","name":"a"}`:           `the field "name" has 1 characters: at least 2 are needed`,
		`{"color":"red","name":""}`:            `the field "name" is empty`,
		`{"color":"red","name":"ääää"}`:        `the field "name" has 4 characters: at most 3 are taken`,
		`{"color":"red","name":"äää"}`:         "",
		`{"color":"red","count":0}`:            `the field "count" cannot be below 1`,
		`{"color":"red","count":10}`:           `the field "count" cannot be above 9`,
		`{"color":"red","count":1.5}`:          `the field "count" must be a whole number`,
		`{"color":"red","count":1e300}`:        `the field "count" must be a whole number`,
		`{"color":"red","count":"1"}`:          `the field "count" must be a whole number, not a string`,
		`{"color":"red","flag":"true"}`:        `the field "flag" must be true or false, not a string`,
		`{"color":"red","flag":null}`:          `the field "flag" must be true or false, not null`,
		`{"color":"red","list":[]}`:            `the field "list" has 0 entries: at least 1 are needed`,
		`{"color":"red","list":[{},{},{}]}`:    `the field "list" has 3 entries: at most 2 are taken`,
		`{"color":"red","list":[{},{"x":1}]}`:  `there is no field "list.1.x"`,
		`{"color":"red","list":[{},true]}`:     `the field "list.1" must be an object, not true or false`,
		`{"color":"red","map":{"x":1}}`:        `the field "map.x" must be an object, not a number`,
		`{"color":"red","again":{"color":{}}}`: `the field "again.color" must be a string, not an object`,
	} {
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatal(err)
		}
		err := types.Check(s, v)
		if words == "" && err != nil || words != "" && (err == nil || !strings.Contains(err.Error(), words)) {
			t.Errorf("%s: %v, want %q", body, err, words)
		}
	}
}

type part struct {
	Limit int `query:"limit" min:"1" max:"9" default:"5" doc:"Limit."`
}

type query struct {
	Name  string    `query:"name" required:"true" max:"3" doc:"A name."`
	Since time.Time `query:"since" doc:"Since."`
	After uint64    `query:"after" doc:"After."`
	Flag  bool      `query:"flag" doc:"Flag."`
	part
}

func TestRead(t *testing.T) {
	list, err := (&Types{}).Query(reflect.TypeFor[query]())
	if err != nil || len(list) != 5 || !list[0].Required || list[1].Schema.Format != "date-time" {
		t.Fatalf("%+v, %v", list, err)
	}
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]query{
		"name=":     {part: part{5}},
		"name=a%26": {Name: "a&", part: part{5}},
		"name=a&since=2026-03-01T12:00:00Z&after=7&flag=true&limit=9": {"a", noon, 7, true, part{9}},
		"name=a&flag=false": {Name: "a", part: part{5}},
	} {
		var got query
		if err := read(t, list, text, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for text, words := range map[string]string{
		"":                    "the query parameter name is missing: A name.",
		"name=abcd":           "has 4 characters: at most 3 are taken",
		"name=a&name=b":       "the query parameter name is there 2 times",
		"name=a&nmae=b":       `there is no query parameter "nmae": did you mean name?`,
		"name=a&since=monday": `since="monday" is no time such as 2026-01-31T00:00:00Z`,
		"name=a&after=-1":     "cannot be below 0",
		"name=a&after=x":      `after="x" is no whole number`,
		"name=a&flag=1":       `flag="1" is neither true nor false`,
		"name=a&flag=":        `flag="" is neither true nor false`,
		"name=a&limit=0":      "cannot be below 1",
		"name=a&limit=10":     "cannot be above 9",
	} {
		var got query
		if err := read(t, list, text, &got); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", text, err, words)
		}
	}
	if _, err := (&Types{}).Query(reflect.TypeFor[struct {
		Name string `query:"name"`
	}]()); err == nil {
		t.Error("a parameter that nobody explains")
	}
}

func read(t *testing.T, list []Parameter, text string, to *query) error {
	t.Helper()
	values, err := url.ParseQuery(text)
	if err != nil {
		t.Fatal(err)
	}
	return Read(list, values, reflect.ValueOf(to).Elem())
}
