package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"larder/proxy/admin"
)

// maxAnswer bounds one answer, or one line of a stream, in bytes.
const maxAnswer = 64 << 20

// client speaks to the API of a running server.
type client struct {
	server string // without a final slash
	token  string
	http   *http.Client
	limit  time.Duration // of one call that is no stream
}

// apiError is a failure that the server described.
type apiError struct {
	admin.Problem
	rule string // of the policy, "" for none
}

// Error returns the sentence for people, with the id that the log has too.
func (e *apiError) Error() string {
	if e.Status >= http.StatusInternalServerError && e.RequestID != "" {
		return e.Detail + " (" + e.RequestID + ")"
	}
	return e.Detail
}

func newClient(server, token string, limit time.Duration) *client {
	return &client{
		server: strings.TrimRight(server, "/"), token: token, limit: limit,
		// The token is for this server; where it points elsewhere, people must look.
		http: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// call asks and reads the answer into out, which may be nil. path is below the
// server, with its segments escaped; in, if not nil, is sent as JSON.
func (c *client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	w, err := c.send(ctx, method, path, query, in)
	if err != nil {
		return err
	}
	defer w.Body.Close()
	text, err := io.ReadAll(io.LimitReader(w.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.server, err)
	}
	if out == nil || len(text) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("the answer of %s is not what larder sends: %w", c.server, err)
	}
	return nil
}

// stream asks for work that takes long; each line of the answer goes to fn.
func (c *client) stream(ctx context.Context, path string, query url.Values, fn func(admin.Line) error) error {
	w, err := c.send(ctx, http.MethodPost, path, query, nil)
	if err != nil {
		return err
	}
	defer w.Body.Close()
	ended := false
	lines := bufio.NewScanner(w.Body)
	lines.Buffer(nil, maxAnswer)
	for lines.Scan() {
		var line admin.Line
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("the answer of %s is not what larder sends: %w", c.server, err)
		}
		if line.Problem != nil {
			return &apiError{Problem: *line.Problem}
		}
		ended = line.Progress == nil
		if err := fn(line); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the answer of %s broke off: %w", c.server, err)
	}
	if !ended {
		return fmt.Errorf("the answer of %s broke off: %w", c.server, io.ErrUnexpectedEOF)
	}
	return nil
}

// send returns replies below 300; the others become errors.
func (c *client) send(ctx context.Context, method, path string, query url.Values, in any) (*http.Response, error) {
	address := c.server + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, usagef("the address of the server is not one: %w", err)
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	r.Header.Set("User-Agent", "larder-cli")
	w, err := c.http.Do(r)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if w.StatusCode < 300 {
		return w, nil
	}
	defer w.Body.Close()
	return nil, c.failure(w)
}

// errNoServer says that nothing answered at the address of the server.
var errNoServer = errors.New("the server cannot be reached")

func (c *client) unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if wrapped := new(url.Error); errors.As(err, &wrapped) {
		err = wrapped.Err // without the address once more
	}
	return fmt.Errorf("%w at %s: %w; start it with larder serve, or name it with --server or LARDER_URL", errNoServer, c.server, err)
}

// failure reads a refusal.
func (c *client) failure(w *http.Response) error {
	e := &apiError{rule: w.Header.Get("X-Larder-Policy")}
	text, err := io.ReadAll(io.LimitReader(w.Body, 1<<20))
	if err != nil || json.Unmarshal(text, &e.Problem) != nil || e.Detail == "" {
		e.Detail = fmt.Sprintf("%s answered %s, and not as larder does", c.server, w.Status)
	}
	e.Status = w.StatusCode
	if e.Status == http.StatusUnauthorized && c.token == "" {
		e.Detail = "this needs a token: sign in with larder login, or set LARDER_TOKEN"
	}
	return e
}
