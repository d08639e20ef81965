package npmtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"larder/upstream/upstreamtest/faulty"
)

// answer is what a request gets before any fault.
type answer struct {
	status int
	kind   string // media type
	etag   string
	body   []byte
	zipped []byte // body compressed, where that form is kept
}

func failure(status int, sentence string) answer {
	body, _ := json.Marshal(map[string]string{"error": sentence}) // strings always encode
	return answer{status: status, kind: "application/json", body: body}
}

// sent is the answer as it leaves: compressed, where that form is kept and wanted.
func (a answer) sent(q *http.Request) faulty.Answer {
	h := http.Header{"Content-Type": {a.kind}, "Vary": {"Accept, Accept-Encoding"}}
	body := a.body
	if a.zipped != nil && strings.Contains(q.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = a.zipped
	}
	return faulty.Answer{Status: a.status, Header: h, ETag: a.etag, Body: body}
}

func (r *Registry) answer(q *http.Request, body []byte) answer {
	plain, err := url.PathUnescape(strings.Trim(q.URL.EscapedPath(), "/"))
	if err != nil {
		return failure(http.StatusBadRequest, "malformed path")
	}
	if q.Method == http.MethodPost && plain == "-/npm/v1/security/advisories/bulk" {
		return r.audit(body)
	}
	if q.Method == http.MethodPost && plain == "-/npm/v1/security/audits/quick" {
		return r.quickAudit(body)
	}
	if q.Method != http.MethodGet && q.Method != http.MethodHead {
		return failure(http.StatusMethodNotAllowed, "this registry takes no writes")
	}
	switch {
	case plain == "" || plain == "-/ping":
		return answer{status: http.StatusOK, kind: "application/json", body: []byte("{}")}
	case plain == "-/v1/search":
		return r.search(q.URL.Query().Get("text"))
	case strings.HasPrefix(plain, "-/package/"):
		return r.tags(strings.TrimSuffix(strings.TrimPrefix(plain, "-/package/"), "/dist-tags"))
	}
	if name, file, ok := strings.Cut(plain, "/-/"); ok {
		return r.tarball(name, path.Base(file))
	}
	return r.packageDocument(plain, q.Header.Get("Accept"))
}

func (r *Registry) packageDocument(name, accept string) answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.packages[name]
	if p == nil {
		return failure(http.StatusNotFound, "Not found")
	}
	kind, short := "application/json", strings.Contains(accept, "application/vnd.npm.install-v1+json")
	if short {
		kind = "application/vnd.npm.install-v1+json"
	}
	d, err := r.document(p, short)
	if err != nil {
		return failure(http.StatusInternalServerError, err.Error())
	}
	return answer{status: http.StatusOK, kind: kind, etag: d.etag, body: d.plain, zipped: d.zipped}
}

func (r *Registry) tarball(name, file string) answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.packages[name]; p != nil {
		for number, v := range p.versions {
			if file == path.Base(name)+"-"+number+".tgz" {
				return answer{status: http.StatusOK, kind: "application/octet-stream", etag: `"` + shasum(v.tarball) + `"`, body: v.tarball}
			}
		}
	}
	return failure(http.StatusNotFound, "Not found")
}

func (r *Registry) tags(name string) answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.packages[name]
	if p == nil {
		return failure(http.StatusNotFound, "Not found")
	}
	return encode(p.distTags(slices.SortedFunc(maps.Keys(p.versions), compare)))
}

func (r *Registry) search(text string) answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	objects := []any{}
	for _, name := range slices.Sorted(maps.Keys(r.packages)) {
		if !strings.Contains(name, text) {
			continue
		}
		latest := r.packages[name].distTags(slices.SortedFunc(maps.Keys(r.packages[name].versions), compare))["latest"]
		objects = append(objects, map[string]any{
			"package": map[string]any{
				"name": name, "version": latest, "description": "", "date": stamp(epoch()), "keywords": []string{},
				"links": map[string]string{}, "publisher": map[string]string{"username": "upstream"},
				"maintainers": []map[string]string{{"username": "upstream", "email": "upstream@upstream.example"}},
			},
			"score": map[string]any{"final": 1, "detail": map[string]int{}}, "searchScore": 1,
		})
	}
	return encode(map[string]any{"objects": objects, "total": len(objects), "time": stamp(epoch())})
}

// audit answers for the packages named in the body.
func (r *Registry) audit(body []byte) answer {
	asked := make(map[string][]string)
	if err := json.Unmarshal(body, &asked); err != nil {
		return failure(http.StatusBadRequest, "the body is no audit")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	found := map[string]any{}
	for name := range asked {
		if list, ok := r.advisories[name]; ok {
			found[name] = list
		}
	}
	return encode(found)
}

// quickAudit answers the older call, whose body is a tree of dependencies: found
// advisories are given as the older call gives them.
func (r *Registry) quickAudit(body []byte) answer {
	var asked struct {
		Dependencies map[string]any `json:"dependencies"`
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return failure(http.StatusBadRequest, "the body is no audit")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	advisories := map[string]any{}
	high := 0
	for name, list := range r.advisories {
		entries, ok := list.([]any)
		if !ok || !within(name, asked.Dependencies) {
			continue
		}
		for _, e := range entries {
			advisory, ok := e.(map[string]any)
			if !ok {
				continue
			}
			high++
			advisory = maps.Clone(advisory)
			advisory["module_name"] = name
			advisory["findings"] = []any{map[string]any{"version": "1.0.0", "paths": []string{".>" + name}}}
			advisories[fmt.Sprint(advisory["id"])] = advisory
		}
	}
	return encode(map[string]any{
		"actions": []any{}, "advisories": advisories, "muted": []any{},
		"metadata": map[string]any{
			"vulnerabilities": map[string]int{"info": 0, "low": 0, "moderate": 0, "high": high, "critical": 0},
			"dependencies":    1, "devDependencies": 0, "optionalDependencies": 0, "totalDependencies": 1,
		},
	})
}

// within reports whether a tree of dependencies names a package anywhere.
func within(name string, tree map[string]any) bool {
	for dependency, node := range tree {
		if dependency == name {
			return true
		}
		inner, ok := node.(map[string]any)
		if !ok {
			continue
		}
		if below, ok := inner["dependencies"].(map[string]any); ok && within(name, below) {
			return true
		}
	}
	return false
}

func encode(v any) answer {
	body, err := json.Marshal(v)
	if err != nil {
		return failure(http.StatusInternalServerError, err.Error())
	}
	return answer{status: http.StatusOK, kind: "application/json", body: body}
}
