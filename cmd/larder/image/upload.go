package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	whole    = 4 << 20 // bytes; what is smaller is sent in one request, and anew where that fails
	sendings = 5       // requests that may fail in a row before an upload is left for the next run
)

// upload is a blob on its way.
type upload struct {
	*Registry
	name string
	descriptor
	open func() (io.ReadCloser, error)
}

// put sends a blob, or takes it from another image of the server: from, ""
// for none. The server holds it against its digest. A large one goes on where an
// earlier request, or run, ended: kept remembers where that is.
func (u *upload) put(ctx context.Context, from string, kept *Unfinished) error {
	key := u.URL + " " + u.name + " " + u.Digest
	at, held := "", int64(0)
	if at = kept.get(key); at != "" {
		var err error
		if held, err = u.held(ctx, at); err != nil && !missing(err) {
			return err
		} else if err != nil || held > u.Size {
			at, held = "", 0
		}
	}
	if at == "" {
		var err error
		if at, err = u.begin(ctx, from); err != nil || at == "" {
			kept.set(key, "")
			return err
		}
	}
	if u.Size < whole {
		return u.commit(ctx, at, 0)
	}
	kept.set(key, at)
	err := u.send(ctx, at, held)
	if err == nil {
		err = u.commit(ctx, at, u.Size)
	}
	var said *Refusal
	if err == nil || errors.As(err, &said) && slices.Contains(over(), said.Status) {
		kept.set(key, "")
	}
	return err
}

// over are the answers after which there is nothing to go on with.
func over() []int {
	return []int{http.StatusBadRequest, http.StatusNotFound, http.StatusRequestedRangeNotSatisfiable}
}

// begin opens an upload and returns its path, "" where the blob is there already.
func (u *upload) begin(ctx context.Context, from string) (at string, err error) {
	path := u.name + "/blobs/uploads/"
	if from != "" {
		path += "?mount=" + u.Digest + "&from=" + url.QueryEscape(from)
	}
	w, err := u.ask(ctx, call{method: http.MethodPost, path: path})
	if err != nil {
		return "", err
	}
	if err := w.Body.Close(); err != nil || w.StatusCode == http.StatusCreated {
		return "", err
	}
	return u.here(w, w.Header.Get("Location"))
}

// send appends what the server does not have yet.
func (u *upload) send(ctx context.Context, at string, held int64) error {
	for failed := 0; held < u.Size; {
		began := held
		err := u.patch(ctx, at, held)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || final(err) {
			return err
		}
		if failed++; failed == sendings {
			return err
		}
		if err := pause(ctx, time.Duration(failed-1)*time.Second); err != nil {
			return err
		}
		now, again := u.held(ctx, at)
		if missing(again) {
			return again
		}
		if again == nil {
			held = now
		}
		if held > began {
			failed = 0
		}
	}
	return nil
}

// final says that an upload cannot go on. It can while the server does not yet know
// that an earlier request broke off: it then has a writer, or more by the next look.
func final(err error) bool {
	var said *Refusal
	return errors.As(err, &said) && said.Status < 500 &&
		said.Status != http.StatusConflict && said.Status != http.StatusRequestedRangeNotSatisfiable
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// held asks how much the server has.
func (u *upload) held(ctx context.Context, at string) (int64, error) {
	w, err := u.ask(ctx, call{method: http.MethodGet, path: at})
	if err != nil {
		return 0, err
	}
	if err := w.Body.Close(); err != nil {
		return 0, err
	}
	_, last, ok := strings.Cut(w.Header.Get("Range"), "-")
	n, err := strconv.ParseInt(last, 10, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("the server does not say how much of %s it has", u.Digest)
	}
	if n == 0 {
		return 0, nil // said of nothing too
	}
	return n + 1, nil
}

func (u *upload) patch(ctx context.Context, at string, held int64) error {
	body, err := u.from(held)
	if err != nil {
		return err
	}
	defer body.Close()
	c := call{method: http.MethodPatch, path: at, body: io.LimitReader(body, u.Size-held), size: u.Size - held}
	c.header = map[string]string{
		"Content-Type": "application/octet-stream", "Content-Range": fmt.Sprintf("%d-%d", held, u.Size-1),
	}
	w, err := u.ask(ctx, c)
	if err != nil {
		return err
	}
	return w.Body.Close()
}

// commit ends an upload, with all of the blob or with what is held at the server.
func (u *upload) commit(ctx context.Context, at string, held int64) error {
	join := "?"
	if strings.Contains(at, "?") {
		join = "&"
	}
	c := call{method: http.MethodPut, path: at + join + "digest=" + u.Digest, body: http.NoBody}
	if held < u.Size {
		body, err := u.from(held)
		if err != nil {
			return err
		}
		defer body.Close()
		c.body, c.size = io.LimitReader(body, u.Size-held), u.Size-held
	}
	c.header = map[string]string{"Content-Type": "application/octet-stream"}
	w, err := u.ask(ctx, c)
	if err != nil {
		return err
	}
	return w.Body.Close()
}

// from opens the blob behind its first bytes.
func (u *upload) from(at int64) (io.ReadCloser, error) {
	body, err := u.open()
	if err != nil || at == 0 {
		return body, err
	}
	if s, ok := body.(io.Seeker); ok {
		_, err = s.Seek(at, io.SeekStart)
	} else {
		_, err = io.CopyN(io.Discard, body, at)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s from %d on: %w", u.Digest, at, err), body.Close())
	}
	return body, nil
}
