package images

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Client talks to one repository over kept-alive connections. Its methods may be
// called concurrently.
type Client struct {
	URL      string // of the registry with the repository, such as http://127.0.0.1:1/v2/app
	Token    string // sent as Bearer; "" for none
	Parallel int    // blobs on their way at once
	HTTP     *http.Client
}

// Push sends an image as podman does: each blob is looked for, sent with one
// chunked PATCH and closed with a PUT; the manifest follows under a tag.
func (c *Client) Push(ctx context.Context, tag string, im Image) error {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(c.Parallel)
	for _, b := range append([]Blob{im.Config}, im.Layers...) {
		group.Go(func() error { return c.PushBlob(inner, b) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	body, err := im.manifest()
	if err != nil {
		return err
	}
	return c.PushManifest(ctx, tag, body)
}

// PushBlob sends one blob, unless it is there.
func (c *Client) PushBlob(ctx context.Context, b Blob) error {
	if _, err := c.ask(ctx, ask{method: http.MethodHead, url: c.URL + "/blobs/" + b.Digest, want: http.StatusOK}); err == nil {
		return nil
	}
	at, err := c.ask(ctx, ask{method: http.MethodPost, url: c.URL + "/blobs/uploads/", want: http.StatusAccepted})
	if err != nil {
		return err
	}
	at, err = c.ask(ctx, ask{method: http.MethodPatch, url: at.location, body: struct{ io.Reader }{b.Open()}, kind: "application/octet-stream", want: http.StatusAccepted})
	if err != nil {
		return err
	}
	end, err := url.Parse(at.location)
	if err != nil {
		return fmt.Errorf("location %q: %w", at.location, err)
	}
	query := end.Query()
	query.Set("digest", b.Digest)
	end.RawQuery = query.Encode()
	_, err = c.ask(ctx, ask{method: http.MethodPut, url: end.String(), want: http.StatusCreated})
	return err
}

// PushManifest puts a manifest under a tag.
func (c *Client) PushManifest(ctx context.Context, tag string, body []byte) error {
	_, err := c.ask(ctx, ask{
		method: http.MethodPut, url: c.URL + "/manifests/" + tag, body: bytes.NewReader(body), kind: typeManifest, want: http.StatusCreated,
	})
	return err
}

// Pull reads an image, and returns the bytes of its layers. The digests are
// looked at when check is true.
func (c *Client) Pull(ctx context.Context, tag string, check bool) (int64, error) {
	body, err := c.Manifest(ctx, tag)
	if err != nil {
		return 0, err
	}
	var m manifest
	if err := json.Unmarshal(body, &m); err != nil {
		return 0, fmt.Errorf("manifest %s: %w", tag, err)
	}
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(c.Parallel)
	var all int64
	for _, d := range m.Layers {
		all += d.Size
	}
	for _, d := range append([]descriptor{m.Config}, m.Layers...) {
		group.Go(func() error { return c.pullBlob(inner, d, check) })
	}
	return all, group.Wait()
}

// Manifest reads the manifest of a tag.
func (c *Client) Manifest(ctx context.Context, tag string) ([]byte, error) {
	var body bytes.Buffer
	_, err := c.ask(ctx, ask{method: http.MethodGet, url: c.URL + "/manifests/" + tag, kind: typeManifest, into: &body, want: http.StatusOK})
	return body.Bytes(), err
}

// PullBlob reads a blob and looks at its size.
func (c *Client) PullBlob(ctx context.Context, b Blob) error {
	return c.pullBlob(ctx, descriptor{Digest: b.Digest, Size: b.Size}, false)
}

// Tags lists all tags, page by page.
func (c *Client) Tags(ctx context.Context) ([]string, error) {
	var all []string
	for next := c.URL + "/tags/list"; next != ""; {
		var body bytes.Buffer
		at, err := c.ask(ctx, ask{method: http.MethodGet, url: next, into: &body, want: http.StatusOK})
		if err != nil {
			return nil, err
		}
		var page struct{ Tags []string }
		if err := json.Unmarshal(body.Bytes(), &page); err != nil {
			return nil, fmt.Errorf("%s: %w", next, err)
		}
		all, next = append(all, page.Tags...), at.next
	}
	return all, nil
}

func (c *Client) pullBlob(ctx context.Context, d descriptor, check bool) error {
	count, sum := &counter{}, sha256.New()
	into := io.Writer(count)
	if check {
		into = io.MultiWriter(count, sum)
	}
	_, err := c.ask(ctx, ask{method: http.MethodGet, url: c.URL + "/blobs/" + d.Digest, into: into, want: http.StatusOK})
	if err != nil {
		return err
	}
	if count.n != d.Size {
		return fmt.Errorf("blob %s came with %d bytes, want %d", d.Digest, count.n, d.Size)
	}
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); check && got != d.Digest {
		return fmt.Errorf("blob %s came as %s", d.Digest, got)
	}
	return nil
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// ask is one request and the status that it must be answered with.
type ask struct {
	method, url, kind string
	body              io.Reader
	into              io.Writer // takes the body of the answer; nil drops it
	want              int
}

// answer is where an answer points to.
type answer struct{ location, next string }

// bufferSize is what bodies are read with, in bytes.
const bufferSize = 256 << 10

func (c *Client) ask(ctx context.Context, a ask) (answer, error) {
	q, err := http.NewRequestWithContext(ctx, a.method, a.url, a.body)
	if err != nil {
		return answer{}, err
	}
	if c.Token != "" {
		q.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if a.kind != "" {
		q.Header.Set("Content-Type", a.kind)
		q.Header.Set("Accept", a.kind)
	}
	w, err := c.HTTP.Do(q)
	if err != nil {
		return answer{}, err
	}
	defer w.Body.Close()
	if w.StatusCode != a.want {
		why, _ := io.ReadAll(io.LimitReader(w.Body, 1<<10)) // only to say more
		return answer{}, fmt.Errorf("%s %s answered %s: %s", a.method, a.url, w.Status, strings.TrimSpace(string(why)))
	}
	into := a.into
	if into == nil {
		into = io.Discard
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{into}, struct{ io.Reader }{w.Body}, make([]byte, bufferSize)); err != nil {
		return answer{}, fmt.Errorf("%s %s: %w", a.method, a.url, err)
	}
	var to answer
	if to.location, err = pointed(q, w.Header.Get("Location")); err != nil {
		return answer{}, err
	}
	next, _, _ := strings.Cut(strings.TrimPrefix(w.Header.Get("Link"), "<"), ">")
	to.next, err = pointed(q, next)
	return to, err
}

// pointed returns a URL as it is read from an answer to q; "" stays so.
func pointed(q *http.Request, at string) (string, error) {
	if at == "" {
		return "", nil
	}
	to, err := q.URL.Parse(at)
	if err != nil {
		return "", fmt.Errorf("%s points to %q: %w", q.URL, at, err)
	}
	return to.String(), nil
}
