package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"runtime"
	"strings"

	"larder/proxy/admin/openapi"
)

// none stands for a query without parameters, for no body, and for an answer
// that has none (204).
type none struct{}

// operation is what a call takes and gives: the types of its handler.
type operation struct {
	name                string
	query, body, answer reflect.Type
	serve               func(*call) (any, error)
}

// handler makes an operation of a function that takes a query and a body and
// returns an answer. The query is a struct with query tags, the body one with
// json tags, either may be none; see package openapi for the tags. The answer is
// what goes out as JSON with status 200, or a type that says how itself: none,
// created, placed, lines.
func handler[Q, B, A any](fn func(*call, Q, B) (A, error)) operation {
	name := runtime.FuncForPC(reflect.ValueOf(fn).Pointer()).Name()
	return operation{
		name:  name[strings.LastIndex(name, ".")+1:],
		query: reflect.TypeFor[Q](), body: reflect.TypeFor[B](), answer: reflect.TypeFor[A](),
		serve: func(c *call) (any, error) {
			var query Q
			var body B
			if err := c.query(reflect.ValueOf(&query).Elem()); err != nil {
				return nil, err
			}
			if c.row.body != nil {
				if err := c.body(c.row.body, &body); err != nil {
					return nil, err
				}
				if err := c.identify(); err != nil { // it may have taken its time
					return nil, err
				}
			}
			return fn(c, query, body)
		},
	}
}

// query reads the parameters of a call into v.
func (c *call) query(v reflect.Value) error {
	values, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return bad("the query cannot be read: write what is not a letter or digit as %%2F, and & between parameters")
	}
	if err := openapi.Read(c.row.query, values, v); err != nil {
		return bad("%s", err)
	}
	return nil
}

// served is a route with what is known of the types of its operation.
type served struct {
	route
	query []openapi.Parameter
	body  *openapi.Schema // nil: it takes none
}

func (a *api) prepare(r route) (served, error) {
	s := served{route: r}
	var err error
	if s.query, err = a.types.Query(r.operation.query); err != nil {
		return s, fmt.Errorf("%s %s: %w", r.method, r.pattern, err)
	}
	if r.operation.body != reflect.TypeFor[none]() {
		if s.body, err = a.types.Of(r.operation.body); err != nil {
			return s, fmt.Errorf("%s %s: %w", r.method, r.pattern, err)
		}
	}
	return s, nil
}

// reply is what an answer looks like.
type reply struct {
	status    int
	mediaType string       // "" for no body
	body      reflect.Type // of the JSON, or of each line
}

// answerer is an answer that is not simply JSON with status 200.
type answerer interface {
	replies() []reply
	send(*call) error
}

// repliesOf says what the answers of a type look like.
func repliesOf(t reflect.Type) []reply {
	if a, ok := reflect.Zero(t).Interface().(answerer); ok {
		return a.replies()
	}
	return []reply{{http.StatusOK, "application/json", t}}
}

func (none) replies() []reply { return []reply{{status: http.StatusNoContent}} }

func (none) send(c *call) error {
	c.w.Header().Set("Cache-Control", "no-store")
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// created is the answer of a call that made something.
type created[T any] struct {
	body T
	path string // of what was made, below the root
}

func (created[T]) replies() []reply {
	return []reply{{http.StatusCreated, "application/json", reflect.TypeFor[T]()}}
}

func (m created[T]) send(c *call) error {
	c.w.Header().Set("Location", c.visit.Origin+m.path)
	return c.sendJSON(http.StatusCreated, m.body)
}

// placed is the answer of a call that made something, unless it was there.
type placed[T any] struct {
	created[T]
	fresh bool
}

func (p placed[T]) replies() []reply {
	return append(p.created.replies(), reply{http.StatusOK, "application/json", reflect.TypeFor[T]()})
}

func (p placed[T]) send(c *call) error {
	if p.fresh {
		return p.created.send(c)
	}
	return c.sendJSON(http.StatusOK, p.body)
}

// lines is an answer of many lines: what emit is given, and what is returned,
// one JSON object each. An error becomes the last line.
type lines func(emit func(Line)) (Line, error)

func (lines) replies() []reply { return []reply{{http.StatusOK, ndjson, reflect.TypeFor[Line]()}} }

func (l lines) send(c *call) error {
	c.streams()
	enc, flush := json.NewEncoder(c.w), http.NewResponseController(c.w)
	emit := func(line Line) {
		// Who went away is noticed by the context.
		_ = enc.Encode(line)
		_ = flush.Flush()
	}
	last, err := l(emit)
	if err != nil {
		p := c.problem(err)
		last = Line{Problem: &p}
	}
	emit(last)
	return nil
}

const ndjson = "application/x-ndjson"

// streams begins an answer of lines.
func (c *call) streams() {
	h := c.w.Header()
	h.Set("Content-Type", ndjson)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	c.w.WriteHeader(http.StatusOK)
}
