package image

import (
	"fmt"
	"slices"
	"strings"
)

// noteRefers is what builders put on the statements about an image that stand
// beside it in its index.
const noteRefers = "vnd.docker.reference.digest"

func (p platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// CheckPlatform refuses what has not the form os/architecture[/variant].
func CheckPlatform(s string) error {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") || strings.Contains(s, ",") {
		return fmt.Errorf("%q is no platform: write os/architecture[/variant], such as linux/amd64", s)
	}
	return nil
}

// fits reports whether a platform is among those that are wanted. One that is
// wanted without a variant stands for all of them, and arm64 without one is v8.
func (p platform) fits(wanted []string) bool {
	if p.Architecture == "arm64" && p.Variant == "" {
		p.Variant = "v8"
	}
	return slices.Contains(wanted, p.String()) || slices.Contains(wanted, p.OS+"/"+p.Architecture)
}

// chosen returns those manifests of an index that are for the wanted platforms,
// all of them where none is named. What has no platform is for every one, and
// what is said about an image goes with it.
func chosen(index *document, wanted []string) []descriptor {
	var list []descriptor
	taken := map[string]bool{}
	for _, m := range index.Manifests {
		if m.isManifest() && (len(wanted) == 0 || m.Platform == nil || m.Platform.fits(wanted)) {
			list = append(list, m)
			taken[m.Digest] = true
		}
	}
	if len(wanted) == 0 {
		return list
	}
	for _, m := range index.Manifests {
		if taken[m.Annotations[noteRefers]] && !taken[m.Digest] && m.isManifest() {
			list = append(list, m)
			taken[m.Digest] = true
		}
	}
	return list
}

// digests are those of descriptors.
func digests(list []descriptor) map[string]bool {
	set := map[string]bool{}
	for _, d := range list {
		set[d.Digest] = true
	}
	return set
}
