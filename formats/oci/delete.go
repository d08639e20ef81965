package oci

import (
	"errors"
	"net/http"
	"strings"

	"larder/formats"
	"larder/policy"
)

func (s *serving) serveBlobDelete() error {
	if s.mirror {
		return s.forget(formats.Forgotten{Package: s.t.name, File: blobFile(s.t.name, s.t.digest)})
	}
	return s.remove("blob", codeBlobUnknown, func(tx formats.Tx) error {
		return tx.Unlink(blobFile(s.t.name, s.t.digest))
	})
}

// serveManifestDelete takes away a tag, or a manifest with all of its tags.
func (s *serving) serveManifestDelete() error {
	switch {
	case s.mirror && s.t.tag != "":
		return s.forget(formats.Forgotten{Package: s.t.name, Pointer: s.t.tag})
	case s.mirror:
		return s.forget(formats.Forgotten{Package: s.t.name, File: manifestFile(s.t.name, s.t.digest)})
	case s.t.tag != "":
		return s.remove("tag", codeManifestUnknown, func(tx formats.Tx) error { return tx.DropTag(s.t.tag) })
	}
	return s.remove("manifest", codeManifestUnknown, func(tx formats.Tx) error {
		r, err := tx.Release(string(s.t.digest))
		if err == nil && !r.Retracted.IsZero() {
			return formats.ErrNoVersion
		}
		if err != nil {
			return err
		}
		return tx.Retract(r.Version)
	})
}

// remove runs a change that takes something away, and words why it may not.
func (s *serving) remove(what string, unknown code, fn func(formats.Tx) error) error {
	err := s.change(policy.Delete, fn)
	var used *formats.UsedError
	switch {
	case err == nil:
		return s.done(http.StatusAccepted, nil)
	case errors.As(err, &used):
		kind := &formats.MethodError{Allow: []string{http.MethodGet, http.MethodHead}}
		return refuse(kind, codeUnsupported, "this %s is a part of %s, which would be left broken: delete that first",
			what, strings.Join(used.By, ", "))
	case errors.Is(err, formats.ErrNoVersion):
		return refuse(formats.ErrNoVersion, unknown, "%s has no %s %s", s.t.name, what, s.t.reference())
	}
	return err
}

// forget drops something from the cache of a mirror.
func (s *serving) forget(f formats.Forgotten) error {
	if err := s.Registry.Forget(s.r.Context(), f); err != nil {
		return err
	}
	return s.done(http.StatusAccepted, nil)
}
