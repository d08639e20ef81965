package formattest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"larder/formats"
	"larder/policy"
)

// Plain is the smallest format there can be, for tests of what stands around
// formats; it passes the suite itself.
//
//	GET    /-/ping                    Open
//	GET    /-/whoami                  Self
//	GET    /<package>                 a document
//	GET    /<package>/<version>       a file
//	PUT    /<package>/<version>       publishes the body as one file
//	DELETE /<package>/<version>       retracts
//
// A package may be written @scope%2fname.
type Plain struct{}

// Name returns "plain".
func (Plain) Name() string { return "plain" }

// Parse reads the routes above.
func (Plain) Parse(r *http.Request, path []string) (formats.Request, error) {
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case len(path) == 2 && path[0] == "-" && (path[1] == "ping" || path[1] == "whoami"):
		if !read {
			return formats.Request{}, &formats.MethodError{Allow: []string{"GET", "HEAD"}}
		}
		if path[1] == "ping" {
			return formats.Request{Op: "ping", Action: policy.Open}, nil
		}
		return formats.Request{Op: "whoami", Action: policy.Self}, nil
	case len(path) == 0 || len(path) > 2:
		return formats.Request{}, formats.Refuse(formats.ErrNotFound, "there is no such route")
	}
	scope, name, scoped := strings.Cut(path[0], "/")
	if scoped && (!strings.HasPrefix(scope, "@") || strings.Contains(name, "/")) || len(path) == 2 && strings.Contains(path[1], "/") {
		return formats.Request{}, formats.Refuse(formats.ErrBadRequest, "a slash within a name is for scopes only")
	}
	return plainPackage(r.Method, read, path)
}

func plainPackage(method string, read bool, path []string) (formats.Request, error) {
	req := formats.Request{Package: path[0]}
	switch {
	case len(path) == 1 && read:
		req.Op, req.Action = "document", policy.Read
		return req, nil
	case len(path) == 1:
		return formats.Request{}, &formats.MethodError{Allow: []string{"GET", "HEAD"}}
	}
	req.Version = path[1]
	switch {
	case read:
		req.Op, req.Action = "file", policy.Read
	case method == http.MethodPut:
		req.Op, req.Action = "publish", policy.Publish
	case method == http.MethodDelete:
		req.Op, req.Action = "retract", policy.Delete
	default:
		return formats.Request{}, &formats.MethodError{Allow: []string{"GET", "HEAD", "PUT", "DELETE"}}
	}
	return req, nil
}

// Serve answers the routes above.
func (p Plain) Serve(w http.ResponseWriter, r *http.Request, call *formats.Call) error {
	var (
		c   *formats.Content
		err error
		req = call.Request
	)
	switch req.Op {
	case "ping", "whoami":
		text := []byte(call.Caller.User + "\n")
		c = &formats.Content{Bytes: text, Size: int64(len(text)), MediaType: "text/plain; charset=utf-8"}
	case "document":
		c, err = call.Registry.Document(r.Context(), formats.Document{Package: req.Package, Name: req.Package, Path: req.Package})
	case "file":
		c, err = call.Registry.File(r.Context(), formats.File{
			Package: req.Package, Version: req.Version, Name: req.Package + "/" + req.Version, Head: r.Method == http.MethodHead,
		})
	case "publish":
		return p.publish(w, r, call)
	case "retract":
		change := formats.Change{Package: req.Package, Action: policy.Delete}
		if err = call.Registry.Change(r.Context(), change, func(tx formats.Tx) error { return tx.Retract(req.Version) }); err == nil {
			w.WriteHeader(http.StatusNoContent)
		}
		return err
	}
	if err != nil {
		return err
	}
	return formats.Reply(w, r, c)
}

func (p Plain) publish(w http.ResponseWriter, r *http.Request, call *formats.Call) error {
	req := call.Request
	up, err := call.Registry.Upload(r.Context(), formats.UploadOptions{Package: req.Package, Size: r.ContentLength})
	if err != nil {
		return err
	}
	defer up.Close()
	if _, err := io.Copy(up, r.Body); err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	blob, err := up.Verify()
	if err != nil {
		return err
	}
	if err := up.Keep(r.Context()); err != nil {
		return err
	}
	release := formats.Release{
		Version: req.Version, Publisher: call.Caller.User,
		Files: []formats.ReleaseFile{{Name: req.Package + "/" + req.Version, MediaType: "application/octet-stream", Blob: blob}},
	}
	change := formats.Change{Package: req.Package, Action: policy.Publish, Create: true}
	err = call.Registry.Change(r.Context(), change, func(tx formats.Tx) error {
		if err := tx.Add(&release); err != nil {
			return err
		}
		pkg, err := tx.Package()
		if err != nil {
			return err
		}
		return tx.Save(pkg)
	})
	if err != nil {
		return err
	}
	w.Header().Set("Location", call.Base+req.Package+"/"+req.Version)
	w.WriteHeader(http.StatusCreated)
	return nil
}

// Describe puts the sentence in a line of text.
func (Plain) Describe(f *formats.Failure, h http.Header) []byte {
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if f.Challenge {
		h.Set("WWW-Authenticate", `Basic realm="plain"`)
	}
	if f.RetryAfter > 0 {
		h.Set("X-Plain-Wait", f.RetryAfter.Round(time.Second).String())
	}
	return []byte(f.Sentence + "\n")
}
