package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/cache"
	"github.com/pb33f/libopenapi-validator/config"
	problems "github.com/pb33f/libopenapi-validator/errors"

	"larder/proxy/admin/openapi"
)

// contract holds requests and replies against a document, with a validator that
// others wrote: in its strict mode, so that what is not described is wrong.
type contract struct {
	doc  openapi.Document
	http validator.Validator
	seen map[string]bool // operation and status of what was held
}

// lazy keeps compiled schemas. The validator would compile all of them before it
// is asked for the first: until then each is said to be there.
type lazy struct {
	*cache.DefaultCache
	used bool
}

func (l *lazy) Load(key uint64) (*cache.SchemaCacheEntry, bool) {
	if !l.used {
		return nil, true
	}
	return l.DefaultCache.Load(key)
}

// documented returns the document of the whole API.
func documented(t testing.TB) openapi.Document {
	t.Helper()
	a := newAPI(Options{})
	if _, err := newRouter(a, apiRoutes()); err != nil {
		t.Fatal(err)
	}
	return a.document
}

func newContract(t testing.TB, doc openapi.Document) *contract {
	t.Helper()
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := libopenapi.NewDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	strict := []config.Option{
		config.WithStrictMode(), config.WithFormatAssertions(),
		config.WithStrictIgnorePaths("$.body.**"), // their schemas are closed
		// Fields of HTTP itself, and of the client that the tests are.
		config.WithStrictIgnoredHeadersExtra("Cache-Control", "X-Content-Type-Options", "Allow", "X-Larder-Retry-At"),
	}
	compiled := &lazy{DefaultCache: cache.NewDefaultCache()}
	v, errs := validator.NewValidator(parsed, append(strict, config.WithSchemaCache(compiled))...)
	if errs != nil {
		t.Fatal(errs)
	}
	compiled.used = true
	return &contract{doc, v, map[string]bool{}}
}

// operation finds the call of a request.
func (c *contract) operation(r *http.Request) (op openapi.Operation, ok bool) {
	for pattern, path := range c.doc.Paths {
		op, ok := path[strings.ToLower(r.Method)]
		// A path without a variable goes first, as it does in the router.
		if ok && fits(pattern, r.URL.Path) && (!strings.Contains(pattern, "{") || c.doc.Paths[r.URL.Path] == nil) {
			return op, true
		}
	}
	return op, false
}

// broken says what of an exchange is not as the document says: a reply that is
// not described, or a request that was granted though it is not.
func (c *contract) broken(r *http.Request, body string, rec *httptest.ResponseRecorder) []string {
	op, ok := c.operation(r)
	if !ok {
		return nil // no call of the API
	}
	c.seen[fmt.Sprint(op.ID, " ", rec.Code)] = true
	var found []string
	asked := func() *http.Request {
		again := r.Clone(r.Context())
		again.Body = io.NopCloser(strings.NewReader(body))
		return again
	}
	if rec.Code < 300 {
		_, errs := c.http.ValidateHttpRequestSync(asked())
		found = append(found, worded("granted, and yet", errs)...)
	}
	bodies := [][]byte{rec.Body.Bytes()}
	if rec.Header().Get("Content-Type") == ndjson {
		bodies = slices.Collect(bytes.Lines(bodies[0])) // each of which is of the schema
	}
	for _, one := range bodies {
		reply := rec.Result()
		reply.Body = io.NopCloser(bytes.NewReader(one))
		_, errs := c.http.ValidateHttpResponse(asked(), reply)
		found = append(found, worded(fmt.Sprintf("answered %d, and", rec.Code), errs)...)
	}
	if _, described := op.Responses[strconv.Itoa(rec.Code)]; !described && rec.Code < 500 {
		found = append(found, fmt.Sprintf("answered %d, which is not described", rec.Code))
	}
	return found
}

func worded(what string, errs []*problems.ValidationError) (list []string) {
	for _, e := range errs {
		text := fmt.Sprintf("%s: %s: %s", what, e.Message, e.Reason)
		for _, s := range e.SchemaValidationErrors {
			text += "; " + s.Reason
		}
		list = append(list, text)
	}
	slices.Sort(list)
	return list
}
