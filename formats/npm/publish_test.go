package npm

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"larder/cache"
	"larder/formats"
)

var tgz = []byte("any bytes will do her\x00\xff")

// npmBody, berryBody and classicBody are laid out as these clients send them.
func npmBody(name, version string, data []byte) string {
	return fmt.Sprintf(`{"_id":%[1]q,"name":%[1]q,"description":"d","dist-tags":{"latest":%[2]q},"versions":{%[2]q:{"name":%[1]q,"version":%[2]q,"readme":"# hello","dist":{"integrity":"`+sha512Zero+`","tarball":"http://127.0.0.1/x"}}},"access":null,"_attachments":{%[3]q:{"content_type":"application/octet-stream","data":%[4]q,"length":%[5]d}}}`,
		name, version, name+"-"+version+".tgz", base64.StdEncoding.EncodeToString(data), len(data))
}

func berryBody(name, version string, data []byte) string {
	return fmt.Sprintf(`{"_id":%[1]q,"_attachments":{%[3]q:{"content_type":"application/octet-stream","data":%[4]q,"length":%[5]d}},"name":%[1]q,"access":"restricted","readme":"# top","dist-tags":{"beta":%[2]q},"versions":{%[2]q:{"name":%[1]q,"version":%[2]q,"dist":{}}}}`,
		name, version, name+"-"+version+".tgz", base64.StdEncoding.EncodeToString(data), len(data))
}

func readPublish(body io.Reader, name string, rev bool, lim Limits) (*Publication, []byte, error) {
	var got bytes.Buffer
	p, err := ReadPublish(body, name, rev, lim, func() (io.Writer, error) { return &got, nil })
	return p, got.Bytes(), err
}

func TestPublish(t *testing.T) {
	for name, body := range map[string]string{"npm": npmBody("@s/n", "1.0.0", tgz), "berry": berryBody("@s/n", "1.0.0", tgz)} {
		for how, r := range map[string]io.Reader{
			"whole": strings.NewReader(body), "bytes": iotest.OneByteReader(strings.NewReader(body)), "halves": iotest.HalfReader(strings.NewReader(body)),
		} {
			p, data, err := readPublish(r, "@s/n", false, Limits{})
			if err != nil {
				t.Errorf("%s %s: %v", name, how, err)
				continue
			}
			if p.Kind != KindPublish || p.Name != "@s/n" || p.Version != "1.0.0" || !bytes.Equal(data, tgz) || p.Size != int64(len(tgz)) || textField(p.Manifest, "version") != "1.0.0" {
				t.Errorf("%s %s: %+v, %q", name, how, p, data)
			}
		}
	}
	p, _, _ := readPublish(strings.NewReader(npmBody("n", "1.0.0", tgz)), "n", false, Limits{})
	if p.Readme != "# hello" || p.Access != "" || p.Tags["latest"] != "1.0.0" || len(p.Tags) != 1 {
		t.Errorf("npm: %+v", p)
	}
	p, _, _ = readPublish(strings.NewReader(berryBody("n", "1.0.0", tgz)), "n", false, Limits{})
	if p.Readme != "# top" || p.Access != "restricted" || p.Tags["beta"] != "1.0.0" || len(p.Tags) != 1 {
		t.Errorf("berry: %+v", p)
	}
}

// edit changes one thing of a good body.
type edit struct {
	name, old, new string
	want           string // part of the sentence; "" means accepted
}

func checkEdits(t *testing.T, edits []edit) {
	t.Helper()
	good := npmBody("n", "1.0.0", tgz)
	for _, c := range edits {
		body := strings.ReplaceAll(good, c.old, c.new)
		if body == good && c.old != c.new {
			t.Errorf("%s: the edit changes nothing in %s", c.name, good)
		}
		for how, r := range map[string]io.Reader{"whole": strings.NewReader(body), "bytes": iotest.OneByteReader(strings.NewReader(body))} {
			p, got, err := readPublish(r, "n", false, Limits{})
			switch {
			case c.want == "" && err != nil:
				t.Errorf("%s, %s: %v", c.name, how, err)
			case c.want == "" && (p.Kind != KindPublish || !bytes.Equal(got, tgz)):
				t.Errorf("%s, %s: %+v, %q", c.name, how, p, got)
			case c.want != "" && (err == nil || !errors.Is(err, formats.ErrBadRequest) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%s, %s: %v; want %q", c.name, how, err, c.want)
			}
		}
	}
}

// TestPublishDocument: everything of the body but the tarball.
func TestPublishDocument(t *testing.T) {
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	checkEdits(t, []edit{
		{"as it is", "", "", ""},
		{"no access", `"access":null,`, ``, ""},
		{"public", `"access":null`, `"access":"public"`, ""},
		{"odd access", `"access":null`, `"access":"secret"`, "access is neither"},
		{"no id", `"_id":"n",`, ``, ""},
		{"other id", `"_id":"n"`, `"_id":"m"`, `the document is about "m"`},
		{"other name", `"name":"n","description"`, `"name":"m","description"`, `the document is about "m"`},
		{"no name", `"name":"n","description"`, `"description"`, "has no name"},
		{"other manifest name", `{"name":"n","version"`, `{"name":"m","version"`, `the manifest is of package "m"`},
		{"other manifest version", `"version":"1.0.0"`, `"version":"1.0.1"`, `the manifest is of version "1.0.1"`},
		{"no manifest version", `"version":"1.0.0",`, ``, `the manifest is of version ""`},
		{"version v1", `"1.0.0"`, `"v1.0.0"`, "not a valid semantic version"},
		{"build metadata", `"1.0.0"`, `"1.0.0+b"`, "build metadata"},
		{"two versions", `"versions":{`, `"versions":{"0.9.0":{},`, "publish one at a time"},
		{"no versions", `"1.0.0":{"name"`, `"x":1,"1.0.0":{"name"`, "not a publish document"},
		{"tag is a range", `{"latest":`, `{"1.x":`, "must not be a version"},
		{"tag with slash", `{"latest":`, `{"a/b":`, "is not valid"},
		{"tag elsewhere", `{"latest":"1.0.0"}`, `{"latest":"1.0.0","old":"0.9.0"}`, `tag "old" points to "0.9.0"`},
		{"tag not text", `{"latest":"1.0.0"}`, `{"latest":1}`, `tag "latest" points to`},
		{"no tags", `"dist-tags":{"latest":"1.0.0"},`, ``, ""},
		{"dependencies list", `"readme":"# hello"`, `"dependencies":[]`, "dependencies in the manifest is not an object"},
		{"dependency object", `"readme":"# hello"`, `"peerDependencies":{"a":{}}`, `peerDependencies."a" in the manifest is not a string`},
		{"dependencies null", `"readme":"# hello"`, `"dependencies":null`, ""},
		{"bin text", `"readme":"# hello"`, `"bin":"x.js"`, ""},
		{"bin object", `"readme":"# hello"`, `"bin":{"a":"x.js"}`, ""},
		{"bin number", `"readme":"# hello"`, `"bin":3`, "bin in the manifest"},
		{"bin of numbers", `"readme":"# hello"`, `"bin":{"a":3}`, "bin."},
		{"duplicate member", `"readme":"# hello"`, `"version":"1.0.0"`, "not a publish document"},
		{"duplicate escaped member", `"readme":"# hello"`, `"\u0076ersion":"2.0.0"`, "not a publish document"},
		{"deep", `"readme":"# hello"`, `"x":` + deep, "not a publish document"},
	})
}

// TestPublishTarball: how the tarball is carried.
func TestPublishTarball(t *testing.T) {
	data := base64.StdEncoding.EncodeToString(tgz)
	checkEdits(t, []edit{
		{"no tarball", `"data":"` + data + `",`, ``, "carries no tarball"},
		{"tarball null", `"data":"` + data + `"`, `"data":null`, "carries no tarball"},
		{"tarball a number", `"data":"` + data + `"`, `"data":23`, "carries no tarball"},
		{"tarball empty", data, "", "no tarball"},
		{"length wrong", `"length":23`, `"length":24`, "announced with 24 bytes and has 23"},
		{"length text", `"length":23`, `"length":"23"`, "announced with"},
		{"length missing", `,"length":23`, ``, ""},
		{"no padding", "=", "", "not valid base64"},
		{"bad letter", data[:4], "!!!!", "not valid base64"},
		{"line break", data[:4], data[:4] + `\n`, "not valid base64"},
		{"raw line break", data[:4], data[:4] + "\n", "not valid base64"},
		{"more after padding", data, data + data, "not valid base64"},
		{"quote escaped", data[:4], data[:4] + `\"`, "not valid base64"},
		{"escaped letters", data[:1], fmt.Sprintf(`\u%04x`, data[0]), ""},
		{"escaped key", `"data"`, `"d\u0061ta"`, ""},
		{"escaped attachments", `"_attachments"`, `"\u005fattachments"`, ""},
		{"text after data", data + `"`, data + `"1`, "not a publish document"},
		{"second data", data + `"`, data + `" "AAAA"`, "two tarballs"},
		{"second data member", data + `"`, data + `","data":"AAAA"`, "not a publish document"},
		{"second attachment", `"_attachments":{`, `"_attachments":{"m-1.0.0.tgz":{"data":"AAAA"},`, "two tarballs"},
		{"second attachment without data", `"_attachments":{`, `"_attachments":{"m-1.0.0.tgz":{},`, "two tarballs"},
		{"attachment path", `"n-1.0.0.tgz"`, `"../../../etc/passwd"`, ""},
		{"provenance", `"_attachments":{`, `"_attachments":{"n-1.0.0.sigstore":{"data":"{\"a\":1}","length":7},`, ""},
		{"provenance object", `"_attachments":{`, `"_attachments":{"n-1.0.0.sigstore":{"data":{}},`, "provenance"},
		{"truncated", `"length":23}}}`, ``, "not a publish document"},
		{"trailing", `"length":23}}}`, `"length":23}}}{}`, "not a publish document"},
		{"data elsewhere", `"description":"d"`, `"data":"!","x":{"y":{"data":"!"}},"_attachment":{"y":{"data":"!"}}`, ""},
		{"data deeper", `"length":23`, `"length":23,"more":{"data":"!"}`, ""},
		{"data in a list", `"description":"d"`, `"x":[{"_attachments":{"x":{"data":"!"}}}]`, ""},
	})
}

func TestChanges(t *testing.T) {
	deprecate := `{"_id":"n","_rev":"3-x","name":"n","_attachments":{},"users":{"bob":true},"maintainers":[{"name":"a"}],"dist-tags":{"latest":"1.1.0","x y":"1.0.0"},"versions":{"1.0.0":{"deprecated":"old"},"1.1.0":{"deprecated":""},"1.2.0":{}}}`
	for _, c := range []struct {
		name, body string
		rev        bool
		want       string // JSON of what matters, or part of the sentence
	}{
		{"deprecate", deprecate, false, `deprecate 3-x [{1.0.0 old} {1.1.0 } {1.2.0 }] map[] map[bob:true]`},
		{"unpublish", deprecate, true, `unpublish 3-x [{1.0.0 old} {1.1.0 } {1.2.0 }] map[latest:1.1.0 x y:1.0.0] map[bob:true]`},
		{"star", `{"_id":"n","_rev":"1","users":{"alice":true,"bob":false}}`, false, `star 1 [] map[] map[alice:true bob:false]`},
		{"unstar", `{"_id":"n","_rev":"1","users":{}}`, false, `star 1 [] map[] map[]`},
		{"maintainers", `{"_id":"n","_rev":"1","maintainers":[{"name":"a","email":"a@example.com"},{"name":"b"}]}`, true, `maintainers 1 [] map[] map[]`},
		{"no maintainers", `{"_id":"n","maintainers":[]}`, true, "at least one maintainer"},
		{"nameless", `{"_id":"n","maintainers":[{}]}`, true, "has no name"},
		{"maintainers text", `{"_id":"n","maintainers":["a"]}`, true, "has no name"},
		{"nothing", `{"_id":"n"}`, true, "nothing to change"},
		{"nothing at all", `{}`, false, "not a publish document"},
		{"a list", `[]`, false, "not a publish document"},
		{"a string", `"x"`, false, "not a publish document"},
		{"empty", ``, false, "not a publish document"},
		{"html", `<html>`, false, "not a publish document"},
		{"other", `{"_id":"m","users":{}}`, false, `about "m"`},
		{"versions list", `{"versions":[]}`, false, "not a publish document"},
		{"tarball with revision", npmBody("n", "1.0.0", tgz), true, "without a revision"},
	} {
		p, _, err := readPublish(strings.NewReader(c.body), "n", c.rev, Limits{})
		got := ""
		if err != nil {
			if !errors.Is(err, formats.ErrBadRequest) {
				t.Errorf("%s: %v is no bad request", c.name, err)
			}
			got = err.Error()
		} else {
			got = fmt.Sprint(p.Kind, " ", p.Rev, " ", p.Versions, " ", p.Tags, " ", p.Users)
		}
		if (err == nil && got != c.want) || (err != nil && !strings.Contains(got, c.want)) {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestPublishNames(t *testing.T) {
	for name, ok := range map[string]bool{"n": true, "@s/n": true, "N": false, "node_modules": false, "_n": false} {
		_, _, err := readPublish(strings.NewReader(npmBody(name, "1.0.0", tgz)), name, false, Limits{})
		if (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPublishLimits(t *testing.T) {
	body := npmBody("n", "1.0.0", bytes.Repeat([]byte("x"), 1000))
	many := `{"_id":"n","versions":{` + strings.TrimSuffix(strings.Repeat(`"1":{},`, 1), ",") + `},"readme":"` + strings.Repeat("x", 5000) + `"}`
	for _, c := range []struct {
		name, body string
		lim        Limits
		ok         bool
	}{
		{"fits exactly", body, Limits{Tarball: 1000}, true},
		{"tarball", body, Limits{Tarball: 999}, false},
		{"document does not count the tarball", body, Limits{Document: 600}, true},
		{"document", body, Limits{Document: 100}, false},
		{"value", many, Limits{Value: 1000}, false},
		{"value fits", many, Limits{Value: 6000}, true},
	} {
		_, _, err := readPublish(strings.NewReader(c.body), "n", false, c.lim)
		if (err == nil) != c.ok || (err != nil && !errors.Is(err, formats.ErrTooLarge)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestPublishFaults: what the body or the sink failed with is told apart from
// what the publisher did wrong.
func TestPublishFaults(t *testing.T) {
	body := npmBody("n", "1.0.0", tgz)
	cut := errors.New("connection reset")
	for n := range len(body) {
		_, _, err := readPublish(io.MultiReader(strings.NewReader(body[:n]), iotest.ErrReader(cut)), "n", false, Limits{})
		if !errors.Is(err, cut) || errors.Is(err, formats.ErrBadRequest) {
			t.Fatalf("cut after %q: %v", body[:n], err)
		}
		_, _, err = readPublish(strings.NewReader(body[:n]), "n", false, Limits{})
		if !errors.Is(err, formats.ErrBadRequest) {
			t.Fatalf("ended after %q: %v", body[:n], err)
		}
	}
	full := errors.New("disk full")
	_, err := ReadPublish(strings.NewReader(body), "n", false, Limits{}, func() (io.Writer, error) { return nil, full })
	if !errors.Is(err, full) {
		t.Errorf("no sink: %v", err)
	}
	_, err = ReadPublish(strings.NewReader(body), "n", false, Limits{}, func() (io.Writer, error) { return failing{full}, nil })
	if !errors.Is(err, full) {
		t.Errorf("failing sink: %v", err)
	}
}

// TestPublishStreams: a tarball much larger than every buffer reaches the sink
// while the body is still being made.
func TestPublishStreams(t *testing.T) {
	const pieces, piece = 16, 1 << 20
	pr, pw := io.Pipe()
	go func() {
		head, tail, _ := strings.Cut(npmBody("n", "1.0.0", nil), `"data":""`)
		_, err := io.WriteString(pw, head+`"data":"`)
		enc := base64.NewEncoder(base64.StdEncoding, pw)
		for i := 0; i < pieces && err == nil; i++ {
			_, err = enc.Write(make([]byte, piece))
		}
		_ = enc.Close()
		_, _ = io.WriteString(pw, `"`+strings.Replace(tail, `"length":0`, fmt.Sprintf(`"length":%d`, pieces*piece), 1))
		pw.CloseWithError(err)
	}()
	var most int
	p, err := ReadPublish(pr, "n", false, Limits{}, func() (io.Writer, error) {
		return writerFunc(func(b []byte) (int, error) { most = max(most, len(b)); return len(b), nil }), nil
	})
	if err != nil || p.Size != pieces*piece {
		t.Fatalf("%+v, %v", p, err)
	}
	if most > splitBuffer {
		t.Errorf("%d bytes at once", most)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestAnnounced(t *testing.T) {
	sum := sha1.Sum(tgz)
	for dist, want := range map[string]string{
		`{}`:                                 "",
		`{"integrity":"` + sha512Zero + `"}`: "sha512",
		`{"integrity":"` + sha512Zero + `","shasum":"` + hex.EncodeToString(sum[:]) + `"}`: "sha512 sha1",
		`{"shasum":"` + strings.ToUpper(hex.EncodeToString(sum[:])) + `"}`:                 "sha1",
		`{"integrity":"sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA=","shasum":"` + sha1Zero + `"}`:    "sha1",
		`{"integrity":1,"shasum":null}`:                                                    "",
	} {
		p := Publication{Manifest: []byte(`{"dist":` + dist + `}`)}
		var got []string
		for _, s := range p.Announced() {
			got = append(got, string(s.Algorithm))
			if s.Algorithm == cache.SHA1 && len(s.Value) != sha1.Size {
				t.Errorf("%s: %v", dist, s)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", dist, got, want)
		}
	}
}

func TestCutReadme(t *testing.T) {
	long := strings.Repeat("é", maxReadme)
	got := cutReadme("x" + long)
	if len(got) != maxReadme-1 || !strings.HasPrefix("x"+long, got) {
		t.Errorf("%d bytes", len(got))
	}
}

func FuzzReadPublish(f *testing.F) {
	f.Add(npmBody("n", "1.0.0", tgz), false)
	f.Add(berryBody("n", "1.0.0", tgz), false)
	f.Add(`{"_id":"n","users":{"a":true}}`, false)
	f.Add(`{"_id":"n","versions":{"1.0.0":{"deprecated":"x"}}}`, true)
	f.Add(`{"_attachments":{"a":{"data":"AA=\/\u0041"}}}`, false)
	f.Fuzz(func(t *testing.T, body string, rev bool) {
		p, data, err := readPublish(strings.NewReader(body), "n", rev, Limits{})
		p2, data2, err2 := readPublish(iotest.OneByteReader(strings.NewReader(body)), "n", rev, Limits{})
		// Which of two faults is met first may differ, that there is one may not.
		if (err == nil) != (err2 == nil) || !bytes.Equal(data, data2) && err == nil || fmt.Sprint(p) != fmt.Sprint(p2) {
			t.Fatalf("%v, %v, %q in one piece; %v, %v, %q byte by byte", p, err, data, p2, err2, data2)
		}
		if err != nil {
			return
		}
		// What was accepted must mean the same to an ordinary decoder.
		var doc struct {
			Attachments map[string]struct{ Data any } `json:"_attachments"`
		}
		if json.Unmarshal([]byte(body), &doc) != nil {
			return // it reads names without regard to case, and fewer levels
		}
		if p.Kind != KindPublish {
			return
		}
		for name, a := range doc.Attachments {
			if s, ok := a.Data.(string); ok && !strings.HasSuffix(name, sigstoreFile) {
				want, err := base64.StdEncoding.DecodeString(s)
				if err != nil || !bytes.Equal(want, data) {
					t.Fatalf("decoded %q, want %q, %v", data, want, err)
				}
			}
		}
	})
}
