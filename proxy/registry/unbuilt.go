package registry

import (
	"context"
	"fmt"

	"larder/formats"
)

// What follows is refused until it is built: no format of this build asks for it.

func unbuilt(what string) error {
	return formats.Refuse(formats.ErrUnsupported, fmt.Sprintf("this server has no %s yet", what))
}

func (b *bound) Forget(context.Context, formats.Forgotten) error { return unbuilt("eviction by name") }
