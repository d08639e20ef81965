package formattest

import (
	"context"
	"iter"

	"larder/formats"
	"larder/policy"
)

// Refusing is a Registry that refuses everything with Err. A fake that answers
// some calls embeds it and overrides those.
type Refusing struct{ Err error }

// Document refuses.
func (r Refusing) Document(context.Context, formats.Document) (*formats.Content, error) {
	return nil, r.Err
}

// File refuses.
func (r Refusing) File(context.Context, formats.File) (*formats.Content, error) { return nil, r.Err }

// Package refuses.
func (r Refusing) Package(context.Context, string) (*formats.Package, error) { return nil, r.Err }

// Releases yields the refusal.
func (r Refusing) Releases(context.Context, string) iter.Seq2[*formats.Release, error] {
	return func(yield func(*formats.Release, error) bool) { yield(nil, r.Err) }
}

// Packages yields the refusal.
func (r Refusing) Packages(context.Context, string) iter.Seq2[*formats.Package, error] {
	return func(yield func(*formats.Package, error) bool) { yield(nil, r.Err) }
}

// Allows refuses.
func (r Refusing) Allows(string, formats.Listed) bool { return false }

// Role refuses.
func (r Refusing) Role(context.Context, string, string) (policy.Role, error) {
	return policy.RoleNone, r.Err
}

// May refuses.
func (r Refusing) May(context.Context, policy.Subject, policy.Action, string) (bool, error) {
	return false, r.Err
}

// Ours refuses.
func (r Refusing) Ours(context.Context, []string) ([]bool, error) { return nil, r.Err }

// Upload refuses.
func (r Refusing) Upload(context.Context, formats.UploadOptions) (formats.Upload, error) {
	return nil, r.Err
}

// Change refuses.
func (r Refusing) Change(context.Context, formats.Change, func(formats.Tx) error) error {
	return r.Err
}

// Forward refuses.
func (r Refusing) Forward(context.Context, formats.Forward) (*formats.Answer, error) {
	return nil, r.Err
}

// Resolve refuses.
func (r Refusing) Resolve(context.Context, formats.Pointer) (formats.Target, error) {
	return formats.Target{}, r.Err
}

// Used forgets it.
func (r Refusing) Used(formats.Use) {}

// Tags yields the refusal.
func (r Refusing) Tags(context.Context, string, string) iter.Seq2[formats.Tag, error] {
	return func(yield func(formats.Tag, error) bool) { yield(formats.Tag{}, r.Err) }
}

// Having yields the refusal.
func (r Refusing) Having(context.Context, string, string, string) iter.Seq2[*formats.Release, error] {
	return func(yield func(*formats.Release, error) bool) { yield(nil, r.Err) }
}

// Begin refuses.
func (r Refusing) Begin(context.Context, formats.UploadOptions) (string, error) { return "", r.Err }

// Resume refuses.
func (r Refusing) Resume(context.Context, string, string) (formats.Session, error) {
	return nil, r.Err
}

// Progress refuses.
func (r Refusing) Progress(context.Context, string, string) (int64, error) { return 0, r.Err }

// Cancel refuses.
func (r Refusing) Cancel(context.Context, string, string) error { return r.Err }

// Mount refuses.
func (r Refusing) Mount(context.Context, formats.Mount) (bool, error) { return false, r.Err }

// Forget refuses.
func (r Refusing) Forget(context.Context, formats.Forgotten) error { return r.Err }
