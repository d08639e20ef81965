package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"testing"
)

func referring(list ...referrer) iter.Seq2[referrer, error] {
	return func(yield func(referrer, error) bool) {
		for _, r := range list {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// decodeIndex reads an index as clients do.
func decodeIndex(t *testing.T, body []byte) (list []referrer) {
	t.Helper()
	var doc struct {
		SchemaVersion int        `json:"schemaVersion"`
		MediaType     string     `json:"mediaType"`
		Manifests     []referrer `json:"manifests"`
	}
	if err := json.Unmarshal(body, &doc); err != nil || doc.SchemaVersion != 2 || doc.MediaType != typeIndex || doc.Manifests == nil {
		t.Fatalf("no index: %.200s (%v)", body, err)
	}
	return doc.Manifests
}

func TestReferrers(t *testing.T) {
	list := referring(
		referrer{MediaType: typeImage, Digest: "sha256:a", Size: 1, ArtifactType: "a/sbom", Annotations: map[string]string{"z": "<1>", "a": "2"}},
		referrer{MediaType: typeIndex, Digest: "sha256:b", Size: 2},
		referrer{MediaType: typeImage, Digest: "sha256:c", Size: 3, ArtifactType: "a/sbom+more"},
	)
	got, err := renderReferrers(list, "")
	want := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[` +
		`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:a","size":1,"artifactType":"a/sbom","annotations":{"a":"2","z":"<1>"}},` +
		`{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:b","size":2},` +
		`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:c","size":3,"artifactType":"a/sbom+more"}]}`
	if err != nil || string(got.body) != want || got.last != "" {
		t.Errorf("%s, last %q, %v\nwant %s", got.body, got.last, err, want)
	}
	for filter, n := range map[string]int{"a/sbom": 1, "a/sbom+more": 1, "a/sb": 0, "A/SBOM": 0} {
		got, err := renderReferrers(list, filter)
		if err != nil || len(decodeIndex(t, got.body)) != n {
			t.Errorf("filter %s: %s, %v", filter, got.body, err)
		}
	}
	if got, err := renderReferrers(referring(), ""); err != nil || len(decodeIndex(t, got.body)) != 0 {
		t.Errorf("none: %s, %v", got.body, err)
	}
}

func TestReferrersComeInPages(t *testing.T) {
	for name, c := range map[string]struct {
		n, annotation int // entries, bytes of each one's annotation
		first         int // entries on the first page
	}{
		"as many as there may be": {1000, 0, 1000},
		"one more":                {1001, 0, 1000},
		"too many bytes":          {20, 1 << 20, 3},
		"one that is too large":   {2, 5 << 20, 1},
	} {
		list := make([]referrer, c.n)
		for i := range list {
			list[i] = referrer{MediaType: typeImage, Digest: digest(fmt.Sprintf("sha256:%05d", i)), Annotations: map[string]string{"a": strings.Repeat("x", c.annotation)}}
		}
		got, err := renderReferrers(referring(list...), "")
		if err != nil {
			t.Fatal(err)
		}
		page := decodeIndex(t, got.body)
		last := ""
		if c.first < c.n {
			last = string(list[c.first-1].Digest)
		}
		if len(page) != c.first || got.last != last || len(page) > 1 && len(got.body) > maxListing {
			t.Errorf("%s: %d entries, %d bytes, last %q; want %d and %q", name, len(page), len(got.body), got.last, c.first, last)
		}
	}
}

func TestReferrersFailWithTheirSource(t *testing.T) {
	broken := errors.New("broken")
	got, err := renderReferrers(func(yield func(referrer, error) bool) {
		if yield(referrer{Digest: "sha256:a"}, nil) {
			yield(referrer{}, broken)
		}
	}, "")
	if !errors.Is(err, broken) || got.body != nil {
		t.Errorf("%s, %v: half a list", got.body, err)
	}
}

func TestFilterOfAnUpstreamsIndex(t *testing.T) {
	body := []byte(`{"schemaVersion":2,"manifests":[ {"digest":"sha256:a","artifactType":"a/b","x-unknown" : 1}, {"digest":"sha256:b"},{"artifactType":"a/b","digest":"sha256:c"}]}`)
	got, err := filterReferrers(body, "a/b")
	want := indexHead + `{"digest":"sha256:a","artifactType":"a/b","x-unknown" : 1},{"artifactType":"a/b","digest":"sha256:c"}` + indexTail
	if err != nil || string(got) != want {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
	if got, err := filterReferrers([]byte(`{}`), "a/b"); err != nil || len(decodeIndex(t, got)) != 0 {
		t.Errorf("no list: %s, %v", got, err)
	}
	for _, bad := range []string{"", "[]", `{"manifests":{}}`, `{"manifests":[1]}`, `{"manifests":[{"artifactType":1}]}`, `{"manifests":[`} {
		if got, err := filterReferrers([]byte(bad), "a/b"); err == nil {
			t.Errorf("%s became %s", bad, got)
		}
	}
}

func TestFilteredListsSaySo(t *testing.T) {
	for artifactType, want := range map[string]string{"": "", "a/b": "artifactType"} {
		h := http.Header{}
		filtered(h, artifactType)
		if got := h.Get("OCI-Filters-Applied"); got != want {
			t.Errorf("%q: %q", artifactType, got)
		}
	}
}

func FuzzFilterReferrers(f *testing.F) {
	f.Add([]byte(`{"manifests":[{"artifactType":"a/b"}]}`), "a/b")
	f.Add([]byte(`{"manifests":[{"artifactType":""},{}]}`), "x")
	f.Fuzz(func(t *testing.T, body []byte, artifactType string) {
		got, err := filterReferrers(body, artifactType)
		if err != nil {
			return
		}
		if !json.Valid(got) {
			t.Errorf("%s became %s", body, got)
		}
		again, err := filterReferrers(got, artifactType)
		if err != nil || string(again) != string(got) {
			t.Errorf("%s, and then %s (%v)", got, again, err)
		}
	})
}
