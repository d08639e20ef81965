package npmtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
)

func started(t *testing.T) *Registry {
	t.Helper()
	r, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	err = r.AddFS(fstest.MapFS{
		"left/1.9.0/package.json":       {Data: []byte(`{"dependencies":{"@s/a":"^1.0.0"}}`)},
		"left/1.10.0/package.json":      {Data: []byte(`{"x-unknown":true}`)},
		"left/2.0.0-rc.1/package.json":  {Data: []byte(`{}`)},
		"left/tags.json":                {Data: []byte(`{"next":"2.0.0-rc.1"}`)},
		"@s/a/1.0.0/package.json":       {Data: []byte(`{}`)},
		"@s/a/1.0.0/lib/index.js":       {Data: []byte(`module.exports = 1`)},
		"advisories.json":               {Data: []byte(`{"left":[{"id":1}],"other":[]}`)},
		"@s/a/times.json":               {Data: []byte(`{"1.0.0":"2025-05-05T00:00:00Z"}`)},
		"folder/without/a/manifest.txt": {Data: []byte(`x`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func get(t *testing.T, url string, header ...string) (*http.Response, []byte, error) {
	t.Helper()
	q, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	w, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, nil, err
	}
	defer w.Body.Close()
	body, err := io.ReadAll(w.Body)
	return w, body, err
}

func TestPackument(t *testing.T) {
	r := started(t)
	w, body, err := get(t, r.URL+"/left")
	if err != nil || w.StatusCode != http.StatusOK {
		t.Fatalf("status %v, error %v", w, err)
	}
	var doc struct {
		Tags     map[string]string         `json:"dist-tags"`
		Time     map[string]string         `json:"time"`
		Versions map[string]map[string]any `json:"versions"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Tags["latest"] != "1.10.0" || doc.Tags["next"] != "2.0.0-rc.1" {
		t.Errorf("tags %v", doc.Tags)
	}
	if doc.Time["1.9.0"] == "" || doc.Versions["1.10.0"]["x-unknown"] != true {
		t.Errorf("time %v, versions %v", doc.Time, doc.Versions)
	}
	dist := doc.Versions["1.9.0"]["dist"].(map[string]any)
	_, tarball, err := get(t, dist["tarball"].(string))
	if err != nil || Integrity(tarball) != dist["integrity"] {
		t.Errorf("tarball has %s, the document says %v (%v)", Integrity(tarball), dist["integrity"], err)
	}
	if again, _, _ := get(t, r.URL+"/left", "If-None-Match", w.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
		t.Errorf("a second request with the entity tag got %d", again.StatusCode)
	}
	_, short, _ := get(t, r.URL+"/@s%2fa", "Accept", "application/vnd.npm.install-v1+json; q=1.0, */*")
	if !bytes.Contains(short, []byte(`"modified":"2025-05-05T00:00:00.000Z"`)) || bytes.Contains(short, []byte(`"time"`)) {
		t.Errorf("short document: %s", short)
	}
	if n := len(r.Log("/left")); n != 3 {
		t.Errorf("%d requests below /left, want 3", n)
	}
}

func TestFaults(t *testing.T) {
	r := started(t)
	file := r.URL + "/left/-/left-1.9.0.tgz"
	_, good, err := get(t, file)
	if err != nil {
		t.Fatal(err)
	}
	r.Fail(Fault{Prefix: "/left/-/", Cut: true})
	if _, part, err := get(t, file); err == nil || len(part) != len(good)/2 {
		t.Errorf("a cut body ended with %v after %d of %d bytes", err, len(part), len(good))
	}
	if w, _, err := get(t, r.URL+"/left"); err != nil || w.StatusCode != http.StatusOK {
		t.Errorf("the fault reached another path: %v", err)
	}
	r.Heal()
	r.Fail(Fault{Wrong: true})
	if _, bad, err := get(t, file); err != nil || len(bad) != len(good) || bytes.Equal(bad, good) {
		t.Errorf("wrong bytes: %v, %d bytes", err, len(bad))
	}
	r.Heal()
	r.Fail(Fault{Status: http.StatusServiceUnavailable})
	if w, _, _ := get(t, file); w.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d", w.StatusCode)
	}
	r.Down()
	if _, _, err := get(t, file); err == nil {
		t.Error("an answer while down")
	}
	r.Heal()
	if err := r.Up(); err != nil {
		t.Fatal(err)
	}
	if _, again, err := get(t, file); err != nil || !bytes.Equal(again, good) {
		t.Errorf("after coming up again: %v", err)
	}
}

func TestAuditAnswersForWhatIsNamed(t *testing.T) {
	r := started(t)
	w, err := http.Post(r.URL+"/-/npm/v1/security/advisories/bulk", "application/json", strings.NewReader(`{"left":["1.9.0"]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	body, err := io.ReadAll(w.Body)
	if err != nil || string(body) != `{"left":[{"id":1}]}` {
		t.Errorf("answer %s, %v", body, err)
	}
	if log := r.Log("/-/npm"); len(log) != 1 || string(log[0].Body) != `{"left":["1.9.0"]}` {
		t.Errorf("log %v", log)
	}
}

func TestPublishBody(t *testing.T) {
	if _, err := PublishBody(map[string]any{"name": "x"}, nil, "latest"); err == nil {
		t.Error("a manifest without a version was taken")
	}
	body, err := PublishBody(map[string]any{"name": "x", "version": "1.0.0"}, []byte("bytes"), "beta")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"beta":"1.0.0"`, `"length":5`, Integrity([]byte("bytes")), `"x-1.0.0.tgz"`} {
		if !bytes.Contains(body, []byte(want)) {
			t.Errorf("%s lacks %s", body, want)
		}
	}
}
