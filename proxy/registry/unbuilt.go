package registry

import (
	"context"
	"fmt"
	"iter"

	"larder/formats"
)

// What follows is refused until it is built: no format of this build asks for it.

func unbuilt(what string) error {
	return formats.Refuse(formats.ErrUnsupported, fmt.Sprintf("this server has no %s yet", what))
}

func (b *bound) Forget(context.Context, formats.Forgotten) error { return unbuilt("eviction by name") }

func (b *bound) Tags(context.Context, string, string) iter.Seq2[formats.Tag, error] {
	return func(yield func(formats.Tag, error) bool) { yield(formats.Tag{}, unbuilt("tags of their own")) }
}

func (b *bound) Having(context.Context, string, string, string) iter.Seq2[*formats.Release, error] {
	return func(yield func(*formats.Release, error) bool) { yield(nil, unbuilt("terms")) }
}

func (b *bound) Mount(context.Context, formats.Mount) (bool, error) { return false, unbuilt("mounts") }

func (t *tx) Tag(string) (string, error)      { return "", unbuilt("tags of their own") }
func (t *tx) SetTag(string, string) error     { return unbuilt("tags of their own") }
func (t *tx) DropTag(string) error            { return unbuilt("tags of their own") }
func (t *tx) TagsOf(string) ([]string, error) { return nil, unbuilt("tags of their own") }
