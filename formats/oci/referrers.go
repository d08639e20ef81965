package oci

import (
	"bytes"
	"fmt"
	"iter"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxListing is the size of a list of referrers that clients are sure to take.
const maxListing = 4 << 20 // bytes

// referrer is a line in the list of what refers to a manifest.
type referrer struct {
	MediaType    string            `json:"mediaType"`
	Digest       digest            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitzero"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// listing is a page of referrers.
type listing struct {
	body []byte
	last string // digest to go on after; "" when that was all
}

// index writes an image index, entry by entry.
type index struct {
	out []byte
	n   int
}

const (
	indexHead = `{"schemaVersion":2,"mediaType":"` + typeIndex + `","manifests":[`
	indexTail = `]}`
)

// add appends an entry and reports whether there was room for it. One entry
// always has room.
func (x *index) add(entry []byte) bool {
	if x.n == 0 {
		x.out = append(x.out, indexHead...)
	}
	if x.n == maxPage || x.n > 0 && len(x.out)+len(entry)+len(indexTail) >= maxListing {
		return false
	}
	if x.n++; x.n > 1 {
		x.out = append(x.out, ',')
	}
	x.out = append(x.out, entry...)
	return true
}

func (x *index) bytes() []byte {
	if x.n == 0 {
		return []byte(indexHead + indexTail)
	}
	return append(x.out, indexTail...)
}

// renderReferrers writes the index of those of artifactType, "" for all. The
// list comes in the order of digests. No entry is an index too, an empty one.
func renderReferrers(list iter.Seq2[referrer, error], artifactType string) (listing, error) {
	var x index
	last := ""
	for r, err := range list {
		if err != nil {
			return listing{}, err
		}
		if artifactType != "" && r.ArtifactType != artifactType {
			continue
		}
		entry, err := json.Marshal(r, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
		if err != nil {
			return listing{}, fmt.Errorf("list the referrer %s: %w", r.Digest, err)
		}
		if !x.add(entry) {
			return listing{x.bytes(), last}, nil
		}
		last = string(r.Digest)
	}
	return listing{body: x.bytes()}, nil
}

// filterReferrers keeps those entries of an upstream's index that are of
// artifactType, "" for all, each as it is written there.
func filterReferrers(body []byte, artifactType string) ([]byte, error) {
	out := []byte(indexHead)
	type typed struct {
		ArtifactType string `json:"artifactType"`
	}
	var r typed
	_, err := elements(bytes.NewReader(body), "manifests", func(entry jsontext.Value) error {
		r = typed{}
		if err := json.Unmarshal(entry, &r); err != nil {
			return err
		}
		if artifactType != "" && r.ArtifactType != artifactType {
			return nil
		}
		if len(out) > len(indexHead) {
			out = append(out, ',')
		}
		out = append(out, entry...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the index of referrers: %w", err)
	}
	return append(out, indexTail...), nil
}

// filtered tells clients that the list was narrowed as they asked, so that they
// need not do it again.
func filtered(h http.Header, artifactType string) {
	if artifactType != "" {
		h.Set("OCI-Filters-Applied", "artifactType")
	}
}
