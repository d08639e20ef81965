package image

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// sparseField is how an import says that an index lacks manifests on purpose.
const sparseField = "X-Larder-Sparse"

// copyField is how an export says that what it gets is not in use for that.
const copyField = "X-Larder-Copy"

// Registry is a running server of larder. It takes its tokens as passwords on
// every path, so that nothing is to be traded first.
type Registry struct {
	URL   string // without a final slash and /v2
	Token string // "" for none
	HTTP  *http.Client
}

// Refusal is an answer that is no success.
type Refusal struct {
	Status  int
	Message string
	Rule    string // of the policy, "" for none
}

// Error returns what the server said.
func (r *Refusal) Error() string { return r.Message }

// call is a request.
type call struct {
	method, path string // path is below /v2/, or a whole one
	header       map[string]string
	body         io.Reader
	size         int64
}

// ask sends a call. Answers of 400 and above are a *Refusal.
func (r *Registry) ask(ctx context.Context, c call) (*http.Response, error) {
	address := r.URL + c.path
	if !strings.HasPrefix(c.path, "/") {
		address = r.URL + "/v2/" + c.path
	}
	q, err := http.NewRequestWithContext(ctx, c.method, address, c.body)
	if err != nil {
		return nil, err
	}
	if c.body != nil {
		q.ContentLength = c.size
	}
	for key, value := range c.header {
		q.Header.Set(key, value)
	}
	if r.Token != "" {
		q.SetBasicAuth("larder", r.Token)
	}
	q.Header.Set("User-Agent", "larder-cli")
	w, err := r.HTTP.Do(q)
	if err != nil {
		return nil, err
	}
	if w.StatusCode < http.StatusMultipleChoices {
		return w, nil
	}
	defer w.Body.Close()
	return nil, refusal(w)
}

func refusal(w *http.Response) error {
	said := &Refusal{Status: w.StatusCode, Rule: w.Header.Get("X-Larder-Policy")}
	said.Message = w.Request.Method + " " + w.Request.URL.Path + ": the server answered " + w.Status
	var doc struct {
		Errors []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	text, err := io.ReadAll(io.LimitReader(w.Body, 1<<20))
	if err == nil && json.Unmarshal(text, &doc) == nil && len(doc.Errors) > 0 {
		said.Message = doc.Errors[0].Message
	}
	return said
}

// Used lists what was pulled in the last days, tags before digests, as images of a
// host. Nothing of it need be there any more.
func (r *Registry) Used(ctx context.Context, host string, days int) ([]Source, error) {
	var list []Source
	for path := "/api/v1/used?limit=1000&days=" + strconv.Itoa(days); path != ""; {
		w, err := r.ask(ctx, call{method: http.MethodGet, path: path})
		if err != nil {
			return nil, err
		}
		var page struct {
			Images []struct{ Image, Tag, Digest string }
			Next   string
		}
		err = json.NewDecoder(io.LimitReader(w.Body, maxManifest)).Decode(&page)
		if err := errors.Join(err, w.Body.Close()); err != nil {
			return nil, fmt.Errorf("read what was pulled lately: %w", err)
		}
		for _, u := range page.Images {
			ref := Reference{Host: host, Name: u.Image, Tag: u.Tag, Digest: u.Digest}
			list = append(list, Source{Reference: ref, Registry: r, Used: true})
		}
		path = ""
		if page.Next != "" {
			path = "/api/v1/used?limit=1000&days=" + strconv.Itoa(days) + "&after=" + url.QueryEscape(page.Next)
		}
	}
	slices.SortStableFunc(list, func(a, b Source) int { return cmp.Compare(a.Digest, b.Digest) })
	return list, nil
}

func missing(err error) bool { return answered(err, http.StatusNotFound) }

// refused says that a rule holds an image back that was pulled before.
func refused(err error) bool { return answered(err, http.StatusForbidden) }

func answered(err error, status int) bool {
	var said *Refusal
	return errors.As(err, &said) && said.Status == status
}

// manifest gets a manifest by tag or digest.
func (r *Registry) manifest(ctx context.Context, name, which string) ([]byte, descriptor, error) {
	accept := strings.Join([]string{typeIndex, typeImage, typeDockerList, typeDockerImage}, ", ")
	w, err := r.ask(ctx, call{method: http.MethodGet, path: name + "/manifests/" + which, header: map[string]string{"Accept": accept, copyField: "true"}})
	if err != nil {
		return nil, descriptor{}, err
	}
	defer w.Body.Close()
	body, err := io.ReadAll(io.LimitReader(w.Body, maxManifest+1))
	if err != nil {
		return nil, descriptor{}, fmt.Errorf("read the manifest %s of %s: %w", which, name, err)
	}
	d := descriptor{MediaType: w.Header.Get("Content-Type"), Digest: w.Header.Get("Docker-Content-Digest"), Size: int64(len(body))}
	if strings.Contains(which, ":") {
		d.Digest = which
	}
	_, err = readManifest(bytes.NewReader(body), d)
	return body, d, err
}

// blob gets the bytes of a blob from an offset on. They begin at the offset that
// is returned, which may be 0.
func (r *Registry) blob(ctx context.Context, name, digest string, from int64) (io.ReadCloser, int64, error) {
	c := call{method: http.MethodGet, path: name + "/blobs/" + digest}
	if from > 0 {
		c.header = map[string]string{"Range": "bytes=" + strconv.FormatInt(from, 10) + "-"}
	}
	w, err := r.ask(ctx, c)
	if err != nil {
		return nil, 0, err
	}
	if w.StatusCode != http.StatusPartialContent {
		from = 0
	}
	return w.Body, from, nil
}

// has reports whether an image has a blob or a manifest: kind is blobs or manifests.
func (r *Registry) has(ctx context.Context, name, kind, digest string) (bool, error) {
	w, err := r.ask(ctx, call{method: http.MethodHead, path: name + "/" + kind + "/" + digest})
	if missing(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, w.Body.Close()
}

// referrers lists what refers to a manifest, page by page.
func (r *Registry) referrers(ctx context.Context, name, digest string) ([]descriptor, error) {
	var list []descriptor
	path := name + "/referrers/" + digest
	for n := 0; path != ""; n++ {
		if n == maxPages {
			return nil, fmt.Errorf("the list of what refers to %s has more than %d pages", digest, maxPages)
		}
		w, err := r.ask(ctx, call{method: http.MethodGet, path: path})
		if missing(err) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(io.LimitReader(w.Body, maxManifest))
		if err := errors.Join(err, w.Body.Close()); err != nil {
			return nil, err
		}
		page, err := decode(body)
		if err != nil {
			return nil, err
		}
		list = append(list, page.Manifests...)
		if path, err = r.next(w); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// next is the path of the page after an answer, "" for none.
func (r *Registry) next(w *http.Response) (string, error) {
	_, link, found := strings.Cut(w.Header.Get("Link"), "<")
	if !found {
		return "", nil
	}
	link, _, _ = strings.Cut(link, ">")
	return r.here(w, link)
}

// here makes an address in an answer a path of the same server: the token is for
// no other.
func (r *Registry) here(w *http.Response, address string) (string, error) {
	to, err := w.Request.URL.Parse(address)
	if err != nil {
		return "", fmt.Errorf("the server answered with an address that is none: %w", err)
	}
	path, ok := strings.CutPrefix(to.String(), r.URL)
	if !ok || !strings.HasPrefix(path, "/") {
		return "", fmt.Errorf("the server sends elsewhere, to %s", to.Redacted())
	}
	return path, nil
}

// putManifest puts a manifest under a tag or its digest. sparse says that it
// lacks manifests on purpose.
func (r *Registry) putManifest(ctx context.Context, path, mediaType string, body []byte, sparse bool) error {
	c := call{method: http.MethodPut, path: path, body: bytes.NewReader(body), size: int64(len(body))}
	c.header = map[string]string{"Content-Type": mediaType}
	if sparse {
		c.header[sparseField] = "true"
	}
	w, err := r.ask(ctx, c)
	if err != nil {
		return err
	}
	return w.Body.Close()
}
