package oci

import (
	"io"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
)

// TestFollowing: however an upstream writes where its list goes on, clients are
// sent below the path that they know, with what is theirs.
func TestFollowing(t *testing.T) {
	for link, want := range map[string]string{
		`</v2/library/app/tags/list?n=2&last=b>; rel="next"`:                              "last=b&n=2",
		`<https://registry.upstream.example/v2/library/app/tags/list?last=b>; rel="next"`: "last=b",
		`<?last=b>; rel=next`:                                                          "last=b",
		`</v2/x/tags/list?next_page=t0ken%3D>;rel=Next`:                                "next_page=t0ken%3D",
		`</v2/x/tags/list?last=b&ns=other.example>; rel="next"; title="x"`:             "last=b",
		`</v2/x/tags/list?last=a>; rel="prev"`:                                         "",
		`</v2/x/tags/list?last=b>`:                                                     "",
		`/v2/x/tags/list?last=b; rel="next"`:                                           "",
		`</v2/x/tags/list?last=a,b>; rel="prev", </v2/x/tags/list?last=c>; rel="next"`: "last=c",
		`</v2/x/tags/list?last=c>; rel="next", </v2/x/tags/list>; rel="first"`:         "last=c",
		`<%zz>; rel="next"`:                                                            "",
		"":                                                                             "",
	} {
		for own, more := range map[string]string{"": "", "?ns=up.example": "ns=up.example", "?n=5": ""} {
			s := &serving{r: httptest.NewRequest("GET", "/v2/mirror/far/app/tags/list"+own, nil)}
			got := s.following([]string{link})
			if want == "" {
				if got != "" {
					t.Errorf("%s: %s", link, got)
				}
				continue
			}
			query, ok := strings.CutPrefix(got, "</v2/mirror/far/app/tags/list?")
			query, below := strings.CutSuffix(query, `>; rel="next"`)
			if !ok || !below || !strings.Contains(query, want) || !strings.Contains(query, more) || more == "" && strings.Contains(query, "ns=") {
				t.Errorf("%s after %q: %s", link, own, got)
			}
		}
	}
}

// TestUpstreamLists: what is no list is not taken for an empty one.
func TestUpstreamLists(t *testing.T) {
	for body, want := range map[string]string{
		`{"name":"app","tags":["b","a"]}`: "b a", `{"name":"app","tags":null}`: "", `{"name":"app","tags":[]}`: "",
	} {
		if got, err := readTags(strings.NewReader(body)); err != nil || got == nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v", body, got, err)
		}
	}
	for _, body := range []string{"", "<html>", `{"name":"app","tags":"a"}`, `{"name":"app","tags":[1]}`, `["a"]`, `{"errors":[]}`, `{"name":"app","tags":["a"`} {
		if got, err := readTags(strings.NewReader(body)); err == nil {
			t.Errorf("%s was read as %q", body, got)
		}
	}
	for body, good := range map[string]bool{
		indexHead + indexTail: true, `{"manifests":[{"digest":"x","size":1}]}`: true, `{"manifests":null}`: false, `{}`: false, "<html>": false,
		`{"manifests":{}}`: false, `[]`: false,
	} {
		if err := checkIndex(strings.NewReader(body)); (err == nil) != good {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// TestThreat23UpstreamLists: what an upstream sends in place of a list costs no more
// than a list does.
func TestThreat23UpstreamLists(t *testing.T) {
	long := func(head, one, tail string, size int) string {
		return head + one + strings.Repeat(","+one, size/(len(one)+1)) + tail
	}
	const small = 1 << 20
	pad := strings.Repeat(" ", 100)
	for name, c := range map[string]struct {
		body string
		read func(io.Reader) error
		good bool
	}{
		"referrers":           {long(`{"manifests":[`, `{}`, `]}`, small), checkIndex, true},
		"endless referrers":   {long(`{"manifests":[`, pad+`{}`, `]}`, 4*maxFarList), checkIndex, false},
		"tags":                {long(`{"tags":[`, `""`, `]}`, small), func(src io.Reader) error { return eachTag(src, func(string) {}) }, true},
		"endless tags":        {long(`{"tags":[`, pad+`""`, `]}`, 4*maxFarList), func(src io.Reader) error { return eachTag(src, func(string) {}) }, false},
		"something else":      {long(`{"x":[`, `{}`, `],"manifests":[]}`, small), checkIndex, true},
		"endless else":        {long(`{"x":[`, pad+`0`, `],"manifests":[]}`, 4*maxFarList), checkIndex, false},
		"one that never ends": {`{"manifests":[{"digest":"` + strings.Repeat("x", 4*maxFarList) + `"}]}`, checkIndex, false},
	} {
		at := min(len(c.body), maxFarList) - 100
		before, held := inUse(), int64(0)
		// What is in use near the end of what is read.
		weigh := reader(func() { held = inUse() - before })
		err := c.read(io.MultiReader(strings.NewReader(c.body[:at]), weigh, strings.NewReader(c.body[at:])))
		if (err == nil) != c.good {
			t.Errorf("%s: %.200v", name, err)
		}
		if held == 0 || held > 3*maxFarList {
			t.Errorf("%s: %d MiB for %d", name, held>>20, len(c.body)>>20)
		}
	}
}

// reader is an empty body that tells when it is read.
type reader func()

func (r reader) Read([]byte) (int, error) {
	r()
	return 0, io.EOF
}

// inUse is how many bytes are in use.
func inUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
