package oci

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"larder/cache"
)

// desc is a descriptor, with more fields as they are given.
func desc(mediaType, content string, more ...string) string {
	fields := append([]string{
		fmt.Sprintf(`"mediaType":%q,"digest":%q,"size":%d`, mediaType, digestOf(cache.SHA256, []byte(content)), len(content)),
	}, more...)
	return "{" + strings.Join(fields, ",") + "}"
}

const (
	configType = "application/vnd.oci.image.config.v1+json"
	layerType  = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// imageOf is an image manifest with those layers and further fields.
func imageOf(layers []string, more ...string) string {
	fields := append([]string{
		`"schemaVersion":2`, `"config":` + desc(configType, "{}"), `"layers":[` + strings.Join(layers, ",") + `]`,
	}, more...)
	return "{" + strings.Join(fields, ",") + "}"
}

func indexOf(children []string, more ...string) string {
	fields := append([]string{`"schemaVersion":2`, `"manifests":[` + strings.Join(children, ",") + `]`}, more...)
	return "{" + strings.Join(fields, ",") + "}"
}

func TestGoodManifests(t *testing.T) {
	layer, child := desc(layerType, "layer"), desc(typeImage, "child")
	data := base64.StdEncoding.EncodeToString([]byte("layer"))
	for name, c := range map[string]struct {
		kind, body string
		needs      int
	}{
		"image":                    {typeImage, imageOf([]string{layer}), 2},
		"image that says its type": {typeImage, imageOf([]string{layer}, `"mediaType":"`+typeImage+`"`), 2},
		"parameters of the type":   {typeImage + "; charset=utf-8", imageOf([]string{layer}), 2},
		"docker":                   {typeDockerImage, imageOf([]string{layer}, `"mediaType":"`+typeDockerImage+`"`), 2},
		"no layers":                {typeImage, imageOf(nil), 1},
		"a layer twice":            {typeImage, imageOf([]string{layer, layer}), 2},
		"index":                    {typeIndex, indexOf([]string{child}), 1},
		"list":                     {typeDockerList, indexOf([]string{child}), 1},
		"empty index":              {typeIndex, indexOf(nil), 0},
		"build cache":              {typeIndex, indexOf([]string{layer, child}), 2},
		"null means absent":        {typeImage, imageOf(nil, `"manifests":null,"subject":null,"mediaType":null,"annotations":null`), 1},
		"unknown fields":           {typeImage, imageOf([]string{desc(layerType, "x", `"org.example":[1,{"a":null}]`)}, `"x-unknown":{"digest":1}`), 2},
		"missing subject":          {typeImage, imageOf(nil, `"subject":`+desc(typeImage, "nowhere")), 1},
		"index with a subject":     {typeIndex, indexOf(nil, `"subject":`+desc(typeImage, "nowhere")), 0},
		"data":                     {typeImage, imageOf([]string{desc(layerType, "layer", `"data":"`+data+`"`)}), 2},
		"empty data":               {typeImage, imageOf([]string{desc(layerType, "", `"data":""`)}), 2},
		"foreign layer":            {typeImage, imageOf([]string{desc("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "far", `"urls":["https://store.example/x"]`)}), 1},
		"docker's foreign layer":   {typeDockerImage, imageOf([]string{desc("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "far", `"urls":["https://store.example/x"]`)}), 1},
		"foreign without address":  {typeImage, imageOf([]string{desc("application/vnd.oci.image.layer.nondistributable.v1.tar", "far")}), 2},
		"ordinary with address":    {typeImage, imageOf([]string{desc(layerType, "near", `"urls":["https://store.example/x"]`)}), 2},
		"annotations may be alike": {typeImage, imageOf(nil, `"annotations":{"Size":"1","size":"2","MediaType":"x"}`), 1},
		"spaces and a new line":    {typeImage, " \n" + imageOf(nil) + "\r\n\t ", 1},
		"sixty-four levels":        {typeImage, imageOf(nil, `"deep":`+strings.Repeat("[", 63)+strings.Repeat("]", 63)), 1},
		"one thousand needs":       {typeImage, imageOf(layers(999)), 1000},
		"ten thousand of one kind": {typeImage, imageOf(sames(10000)), 2},
	} {
		m, err := checkManifest([]string{c.kind}, "", []byte(c.body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		kind, _, _ := strings.Cut(c.kind, ";")
		if m.mediaType != kind || len(m.needs) != c.needs || m.size != int64(len(c.body)) || m.digest != digestOf(cache.SHA256, []byte(c.body)) {
			t.Errorf("%s: %s, %d needs, %d bytes, %s", name, m.mediaType, len(m.needs), m.size, m.digest)
		}
	}
}

func layers(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = desc(layerType, fmt.Sprint("layer ", i))
	}
	return list
}

func sames(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = desc(layerType, "same")
	}
	return list
}

// TestBadManifests: each with its status and code, and a word of the sentence.
func TestBadManifests(t *testing.T) {
	layer := desc(layerType, "layer")
	d := string(digestOf(cache.SHA256, []byte("layer")))
	raw := func(fields string) string { return imageOf([]string{"{" + fields + "}"}) }
	for name, c := range map[string]struct {
		kind, body string
		want       string // status, code and a part of the sentence
	}{
		"empty":                  {typeImage, "", "400 MANIFEST_INVALID is empty"},
		"spaces":                 {typeImage, strings.Repeat(" ", 6<<20), "400 MANIFEST_INVALID is empty"},
		"half":                   {typeImage, imageOf([]string{layer})[:100], "400 MANIFEST_INVALID ends in the middle"},
		"array":                  {typeImage, "[" + imageOf(nil) + "]", "400 MANIFEST_INVALID no JSON object"},
		"null":                   {typeImage, "null", "400 MANIFEST_INVALID no JSON object"},
		"text":                   {typeImage, "hello", "400 MANIFEST_INVALID not valid JSON"},
		"byte order mark":        {typeImage, "\ufeff" + imageOf(nil), "400 MANIFEST_INVALID not valid JSON"},
		"two objects":            {typeImage, imageOf(nil) + imageOf(nil), "400 MANIFEST_INVALID behind its end"},
		"something behind":       {typeImage, imageOf(nil) + " x", "400 MANIFEST_INVALID behind its end"},
		"no UTF-8":               {typeImage, imageOf(nil, "\"x\":\"\xff\""), "400 MANIFEST_INVALID not valid JSON"},
		"deep":                   {typeImage, imageOf(nil, `"deep":`+strings.Repeat("[", 64)+strings.Repeat("]", 64)), "400 MANIFEST_INVALID deeper than 64"},
		"very deep":              {typeImage, strings.Repeat(`{"a":`, 1<<20), "400 MANIFEST_INVALID deeper than 64"},
		"two media types":        {typeImage, imageOf(nil, `"mediaType":"`+typeImage+`"`, `"mediaType":"`+typeIndex+`"`), "400 MANIFEST_INVALID twice"},
		"two of an escaped name": {typeImage, imageOf(nil, `"l\u0061yers":[]`), "400 MANIFEST_INVALID twice"},
		"two digests":            {typeImage, raw(`"mediaType":"a/b","size":5,"digest":"` + d + `","digest":"` + d + `"`), "400 MANIFEST_INVALID twice"},
		"layers in capitals too": {typeImage, imageOf(nil, `"Layers":[`+layer+`]`), "400 MANIFEST_INVALID another case"},
		"only in capitals":       {typeImage, strings.Replace(imageOf(nil), `"layers"`, `"Layers"`, 1), "400 MANIFEST_INVALID another case"},
		"capital manifests":      {typeImage, imageOf(nil, `"Manifests":[`+layer+`]`), "400 MANIFEST_INVALID another case"},
		"digest in another case": {typeImage, raw(`"mediaType":"a/b","size":5,"digest":"` + d + `","Digest":"sha256:x"`), "400 MANIFEST_INVALID another case"},
		// media type
		"another type":       {typeImage, imageOf(nil, `"mediaType":"`+typeDockerImage+`"`), "400 MANIFEST_INVALID was sent as"},
		"an empty type":      {typeImage, imageOf(nil, `"mediaType":""`), "400 MANIFEST_INVALID was sent as"},
		"no type":            {"", imageOf(nil), "400 MANIFEST_INVALID no media type"},
		"unknown type":       {"application/json", imageOf(nil), "415 UNSUPPORTED not accepted"},
		"type in capitals":   {strings.ToUpper(typeImage), imageOf(nil), "415 UNSUPPORTED not accepted"},
		"schema 1":           {typeSchema1, `{"schemaVersion":1}`, "415 UNSUPPORTED push it again"},
		"signed schema 1":    {typeSchema1Signed, `{"schemaVersion":1}`, "415 UNSUPPORTED push it again"},
		"withdrawn artifact": {typeArtifact, `{"blobs":[]}`, "415 UNSUPPORTED artifactType"},
		"a type of no text":  {typeImage, imageOf(nil, `"mediaType":7`), "400 MANIFEST_INVALID mediaType"},
		// structure
		"no version":           {typeImage, strings.Replace(imageOf(nil), `"schemaVersion":2,`, "", 1), "400 MANIFEST_INVALID schemaVersion"},
		"version 1":            {typeImage, strings.Replace(imageOf(nil), `"schemaVersion":2`, `"schemaVersion":1`, 1), "400 MANIFEST_INVALID schemaVersion"},
		"version as text":      {typeImage, strings.Replace(imageOf(nil), `"schemaVersion":2`, `"schemaVersion":"2"`, 1), "400 MANIFEST_INVALID schemaVersion"},
		"no config":            {typeImage, `{"schemaVersion":2,"layers":[]}`, "400 MANIFEST_INVALID without config"},
		"no layers":            {typeImage, `{"schemaVersion":2,"config":` + desc(configType, "{}") + `}`, "400 MANIFEST_INVALID array layers"},
		"layers are null":      {typeImage, `{"schemaVersion":2,"layers":null,"config":` + desc(configType, "{}") + `}`, "400 MANIFEST_INVALID array layers"},
		"layers are an object": {typeImage, `{"schemaVersion":2,"layers":{},"config":` + desc(configType, "{}") + `}`, "400 MANIFEST_INVALID layers"},
		"index with layers":    {typeIndex, indexOf(nil, `"layers":[]`), "400 MANIFEST_INVALID one of them only"},
		"index with config":    {typeIndex, indexOf(nil, `"config":`+desc(configType, "{}")), "400 MANIFEST_INVALID one of them only"},
		"image with manifests": {typeImage, imageOf(nil, `"manifests":[]`), "400 MANIFEST_INVALID one of them only"},
		"index without list":   {typeIndex, `{"schemaVersion":2}`, "400 MANIFEST_INVALID array manifests"},
		"image as an index":    {typeIndex, imageOf(nil), "400 MANIFEST_INVALID array manifests"},
		"index as an image":    {typeImage, indexOf(nil), "400 MANIFEST_INVALID without config"},
		"fsLayers":             {typeImage, imageOf(nil, `"fsLayers":[{"blobSum":"x"}]`), "400 MANIFEST_INVALID schema 1"},
		"odd annotation":       {typeImage, imageOf(nil, `"annotations":{"a":1}`), "400 MANIFEST_INVALID /annotations/a"},
		"annotated referrer":   {typeImage, imageOf(nil, `"subject":`+desc(typeImage, "s"), `"annotations":{"a":"`+strings.Repeat("x", 1<<20)+`"}`), "400 MANIFEST_INVALID bytes of annotations"},
		"bad subject":          {typeImage, imageOf(nil, `"subject":{"digest":"latest"}`), "400 MANIFEST_INVALID subject"},
		"subject of no kind":   {typeImage, imageOf(nil, `"subject":"`+d+`"`), "400 MANIFEST_INVALID /subject"},
		"10 000 layers":        {typeImage, imageOf(layers(10000)), "400 MANIFEST_INVALID more than 1000"},
		// descriptors
		"size below zero":    {typeImage, raw(`"mediaType":"a/b","digest":"` + d + `","size":-1`), "400 MANIFEST_INVALID below zero: layers/0"},
		"size of 2^63":       {typeImage, raw(`"mediaType":"a/b","digest":"` + d + `","size":9223372036854775808`), "400 MANIFEST_INVALID /layers/0/size"},
		"half a byte":        {typeImage, raw(`"mediaType":"a/b","digest":"` + d + `","size":0.5`), "400 MANIFEST_INVALID /layers/0/size"},
		"size as text":       {typeImage, raw(`"mediaType":"a/b","digest":"` + d + `","size":"5"`), "400 MANIFEST_INVALID /layers/0/size"},
		"no size":            {typeImage, raw(`"mediaType":"a/b","digest":"` + d + `"`), "400 MANIFEST_INVALID without a size"},
		"no digest":          {typeImage, raw(`"mediaType":"a/b","size":5`), "400 MANIFEST_INVALID digest is no good"},
		"short digest":       {typeImage, raw(`"mediaType":"a/b","size":5,"digest":"sha256:abc"`), "400 MANIFEST_INVALID 64 lower-case"},
		"digest with a path": {typeImage, raw(`"mediaType":"a/b","size":5,"digest":"sha256:../../x"`), "400 MANIFEST_INVALID digest is no good"},
		"md5":                {typeImage, raw(`"mediaType":"a/b","size":5,"digest":"md5:abc"`), "400 MANIFEST_INVALID use sha256 or sha512"},
		"no media type":      {typeImage, raw(`"size":5,"digest":"` + d + `"`), "400 MANIFEST_INVALID mediaType: layers/0"},
		"odd media type":     {typeImage, raw(`"mediaType":"a b/c","size":5,"digest":"` + d + `"`), "400 MANIFEST_INVALID mediaType: layers/0"},
		"null layer":         {typeImage, imageOf([]string{"null"}), "400 MANIFEST_INVALID layers/0"},
		"other data":         {typeImage, raw(`"mediaType":"a/b","size":5,"digest":"` + d + `","data":"b3RoZXI="`), "400 MANIFEST_INVALID data is not"},
		"data of other size": {typeImage, raw(`"mediaType":"a/b","size":6,"digest":"` + d + `","data":"bGF5ZXI="`), "400 MANIFEST_INVALID data is not"},
		"data of no base64":  {typeImage, raw(`"mediaType":"a/b","size":5,"digest":"` + d + `","data":"?"`), "400 MANIFEST_INVALID /layers/0/data"},
		"two sizes":          {typeImage, imageOf([]string{layer, "{" + `"mediaType":"a/b","digest":"` + d + `","size":6}`}), "400 MANIFEST_INVALID two sizes, 5 and 6"},
	} {
		kinds := []string{c.kind}
		if c.kind == "" {
			kinds = nil
		}
		_, err := checkManifest(kinds, "", []byte(c.body))
		mustSay(t, name, err, c.want)
	}
	_, err := checkManifest([]string{typeImage, typeImage}, "", []byte(imageOf(nil)))
	mustSay(t, "two fields", err, "400 MANIFEST_INVALID 2 fields")
}

// mustSay checks status, code and a part of the sentence.
func mustSay(t *testing.T, name string, err error, want string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: taken", name)
		return
	}
	f := failureOf(err)
	head := fmt.Sprintf("%d %s ", f.Status, describe(t, f, http.Header{}).Code)
	part, ok := strings.CutPrefix(want, head)
	if !ok || !strings.Contains(err.Error(), part) || len(err.Error()) > 600 {
		t.Errorf("%s: %s%.200v; want %s", name, head, err, want)
	}
}

func TestTypeFromTheBodyAlone(t *testing.T) {
	m, err := checkManifest(nil, "", []byte(imageOf(nil, `"mediaType":"`+typeImage+`"`)))
	if err != nil || m.mediaType != typeImage {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestManifestsPushedByDigest(t *testing.T) {
	body := []byte(imageOf(nil))
	for _, a := range []cache.Algorithm{cache.SHA256, cache.SHA512} {
		want := digestOf(a, body)
		if m, err := checkManifest([]string{typeImage}, want, body); err != nil || m.digest != want {
			t.Errorf("%s: %+v, %v", a, m, err)
		}
		_, err := checkManifest([]string{typeImage}, want, append(body, '\n'))
		mustSay(t, string(a), err, "400 DIGEST_INVALID was pushed as "+string(want))
	}
	// The order of the checks: what is no manifest is not compared.
	_, err := checkManifest([]string{typeImage}, digestOf(cache.SHA256, body), nil)
	mustSay(t, "order", err, "400 MANIFEST_INVALID is empty")
}

func TestNeeds(t *testing.T) {
	m, err := checkManifest([]string{typeIndex}, "", []byte(indexOf([]string{desc(typeDockerImage, "m"), desc(layerType, "b"), desc(typeIndex, "i")})))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, n := range m.needs {
		files = append(files, n.file("a/b")[:len("a/b/mani")])
	}
	if got := strings.Join(files, " "); got != "a/b/mani a/b/blob a/b/mani" {
		t.Errorf("needs %s", got)
	}
	mustSay(t, "size", otherSize(m.needs[0], 7), "400 MANIFEST_INVALID has 1 bytes, and it has 7")
}

func FuzzManifest(f *testing.F) {
	for _, body := range []string{
		imageOf([]string{desc(layerType, "x")}), indexOf([]string{desc(typeImage, "x")}), `{"schemaVersion":2}`, "[]", "", `{"a":1,"a":2}`,
		imageOf(nil, `"subject":`+desc(typeImage, "s"), `"annotations":{"a":"b"}`),
	} {
		f.Add([]byte(body), typeImage)
		f.Add([]byte(body), typeIndex)
	}
	f.Fuzz(func(t *testing.T, body []byte, kind string) {
		m, err := checkManifest([]string{kind}, "", body)
		if err != nil {
			if s := failureOf(err).Status; s != 400 && s != 415 {
				t.Errorf("status %d: %v", s, err)
			}
			return
		}
		// What the standard decoder sees, which does not mind case, is the same.
		var other struct {
			Config    *struct{ Digest string }
			Layers    []struct{ Digest string }
			Manifests []struct{ Digest string }
		}
		if err := json.NewDecoder(bytes.NewReader(body)).Decode(&other); err != nil {
			t.Fatalf("taken, and yet: %v", err)
		}
		if isImage(m.mediaType) != (other.Config != nil) || isIndex(m.mediaType) && len(other.Layers) > 0 ||
			isImage(m.mediaType) && (len(other.Manifests) > 0 || len(other.Layers) != len(*m.doc.Layers)) {
			t.Errorf("%s: another reader sees another manifest: %s", m.mediaType, body)
		}
		for _, n := range m.needs {
			if _, err := parseDigest(string(n.digest)); err != nil || n.size < 0 {
				t.Errorf("need %+v", n)
			}
		}
		meta, err := m.facts(body).encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeFacts(meta); err != nil {
			t.Errorf("facts do not come back: %v: %s", err, meta)
		}
	})
}
