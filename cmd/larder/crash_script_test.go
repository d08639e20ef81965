package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"larder/upstream/upstreamtest/ocitest"
)

// What a crash story of containers does between two kills.
const (
	crashPushers = 4
	crashPullers = 8
	crashLayer   = 300_000 // bytes
)

// cmdCrashPushes pushes images from several writers, deletes every second and
// collects garbage, all at once; kills larder at a random moment and starts it
// again, two hours later by its clock, ROUNDS times, at most 11: by then leases of
// layers end. What was answered with success must hold then, whole, and
// nothing else may be there in part: crash-pushes IMAGE ROUNDS.
func cmdCrashPushes(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 2, "crash-pushes IMAGE ROUNDS")
	rounds, err := strconv.Atoi(args[1])
	ts.Check(err)
	p := &pushes{ts: ts, name: args[0], shared: noise(crashLayer), images: map[string]*crashImage{}}
	for round := range rounds {
		ts.Setenv("LARDER_TEST_CLOCK_OFFSET", fmt.Sprintf("%dh", 2*(round+1)))
		var after atomic.Int64
		after.Store(1 + rand.Int64N(150)) // answers with success until the end
		p.killed(func(stop <-chan struct{}) {
			var work sync.WaitGroup
			for writer := range crashPushers {
				work.Go(func() { p.write(fmt.Sprintf("r%d-w%d", round, writer), &after, stop) })
			}
			work.Go(func() {
				for !closed(stop) {
					p.ask(http.MethodPost, p.ts.Getenv("LARDER")+"/api/v1/gc", nil)
				}
			})
			work.Wait()
		}, &after)
		p.check()
	}
	p.finish()
}

// closed reports whether a channel is.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// pushes are those of one story: what was sent, and what was answered.
type pushes struct {
	ts     *testscript.TestScript
	name   string
	shared []byte // a layer of all images

	mu     sync.Mutex
	images map[string]*crashImage // by tag
}

// crashImage is how far the push of an image was answered.
type crashImage struct {
	config, layer, manifest []byte
	session                 string // of the layer
	offset                  int    // bytes of it that were answered for
	ending, linked          bool   // the upload's end was asked for; the layer was answered for
	pushed, going, gone     bool   // the image was; its deletion was asked for; was answered for
}

// killed runs work until enough was answered, and larder dies under it.
func (p *pushes) killed(work func(stop <-chan struct{}), after *atomic.Int64) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		work(stop)
	}()
	for began := time.Now(); after.Load() > 0 && time.Since(began) < waitLimit; {
		time.Sleep(time.Duration(rand.IntN(5)) * time.Millisecond)
	}
	cmdKill(p.ts, false, nil)
	close(stop)
	<-ended
	cmdStart(p.ts, false, nil)
}

// write pushes one image after the other.
func (p *pushes) write(who string, after *atomic.Int64, stop <-chan struct{}) {
	for n := 0; !closed(stop); n++ {
		tag := fmt.Sprintf("%s-%d", who, n)
		i := &crashImage{layer: noise(crashLayer), config: fmt.Appendf(nil, `{"tag":%q}`, tag)}
		i.manifest = crashManifest(i.config, p.shared, i.layer)
		p.mu.Lock()
		p.images[tag] = i
		p.mu.Unlock()
		for _, step := range p.steps(tag, i, n%2 == 1) {
			if closed(stop) || !step() {
				return
			}
			after.Add(-1)
		}
	}
}

// steps are the requests of a push, and of a deletion after it. Each reports
// whether it was answered with success.
func (p *pushes) steps(tag string, i *crashImage, remove bool) []func() bool {
	half := len(i.layer) / 2
	send := func(to int) func() bool {
		return func() bool {
			status, _, _ := p.ask(http.MethodPatch, i.session, i.layer[i.offset:to])
			return status == http.StatusAccepted && p.note(func() { i.offset = to })
		}
	}
	steps := []func() bool{
		func() bool { return p.whole(p.shared) },
		func() bool {
			status, h, _ := p.ask(http.MethodPost, p.at("blobs/uploads/"), nil)
			return status == http.StatusAccepted && p.note(func() { i.session = p.ts.Getenv("LARDER") + h.Get("Location") })
		},
		send(half / 2), send(half),
		func() bool {
			p.note(func() { i.ending = true })
			status, _, _ := p.ask(http.MethodPut, i.session+"?digest="+ocitest.Digest(i.layer), i.layer[half:])
			return status == http.StatusCreated && p.note(func() { i.linked = true })
		},
		func() bool { return p.whole(i.config) },
		func() bool {
			status, _, _ := p.ask(http.MethodPut, p.at("manifests/"+tag), i.manifest)
			return status == http.StatusCreated && p.note(func() { i.pushed = true })
		},
	}
	if remove {
		steps = append(steps, func() bool {
			p.note(func() { i.going = true })
			status, _, _ := p.ask(http.MethodDelete, p.at("manifests/"+ocitest.Digest(i.manifest)), nil)
			return status == http.StatusAccepted && p.note(func() { i.gone = true })
		})
	}
	return steps
}

// note writes down what was answered.
func (p *pushes) note(fn func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn()
	return true
}

// whole sends a blob in one request, unless it is said to be there.
func (p *pushes) whole(blob []byte) bool {
	if status, _, _ := p.ask(http.MethodHead, p.at("blobs/"+ocitest.Digest(blob)), nil); status == http.StatusOK {
		return true
	}
	status, _, _ := p.ask(http.MethodPost, p.at("blobs/uploads/?digest="+ocitest.Digest(blob)), blob)
	return status == http.StatusCreated
}

func crashManifest(config []byte, layers ...[]byte) []byte {
	type part struct {
		MediaType string `json:"mediaType"`
		Digest    string `json:"digest"`
		Size      int    `json:"size"`
	}
	doc := struct {
		SchemaVersion int    `json:"schemaVersion"`
		MediaType     string `json:"mediaType"`
		Config        part   `json:"config"`
		Layers        []part `json:"layers"`
	}{2, ocitest.TypeImage, part{ocitest.TypeConfig, ocitest.Digest(config), len(config)}, nil}
	for _, l := range layers {
		doc.Layers = append(doc.Layers, part{ocitest.TypeLayer, ocitest.Digest(l), len(l)})
	}
	body, err := json.Marshal(doc)
	if err != nil { // words and numbers always encode
		panic(err)
	}
	return body
}

func (p *pushes) at(what string) string {
	return p.ts.Getenv("LARDER") + "/v2/" + p.name + "/" + what
}

// ask returns status 0 where no whole answer came.
func (p *pushes) ask(method, url string, body []byte) (status int, h http.Header, got []byte) {
	q, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil
	}
	q.Header.Set("Content-Type", ocitest.TypeImage)
	if strings.Contains(url, "/api/") {
		q.Header.Set("Authorization", "Bearer "+p.ts.Getenv("ADMIN_TOKEN"))
	} else {
		q.SetBasicAuth("admin", p.ts.Getenv("ADMIN_TOKEN"))
	}
	w, err := (&http.Client{Timeout: waitLimit}).Do(q)
	if err != nil {
		return 0, nil, nil
	}
	defer w.Body.Close()
	got, err = io.ReadAll(w.Body)
	if err != nil {
		return 0, nil, nil
	}
	return w.StatusCode, w.Header, got
}

// check compares what is there with what was answered.
func (p *pushes) check() {
	pushed, gone := 0, 0
	for tag, i := range p.images {
		status, _, got := p.ask(http.MethodGet, p.at("manifests/"+tag), nil)
		there := status == http.StatusOK
		switch {
		case status != http.StatusOK && status != http.StatusNotFound, there && !bytes.Equal(got, i.manifest):
			p.ts.Fatalf("%s: answered %d with %q", tag, status, got)
		case there && i.gone:
			p.ts.Fatalf("%s was deleted, and is there", tag)
		case !there && i.pushed && !i.going:
			p.ts.Fatalf("%s was pushed, and is lost", tag)
		}
		if there {
			pushed++
			p.must(i.config, i.layer, p.shared)
		}
		if i.linked {
			p.must(i.layer)
		}
		if i.gone {
			gone++
		}
		if i.session != "" {
			p.checkUpload(tag, i)
		}
		i.pushed, i.gone = there, i.gone || i.going && !there
	}
	p.ts.Logf("%d images begun, %d there, %d deleted", len(p.images), pushed, gone)
}

// must insists that blobs are there, and whole.
func (p *pushes) must(blobs ...[]byte) {
	for _, b := range blobs {
		if status, _, got := p.ask(http.MethodGet, p.at("blobs/"+ocitest.Digest(b)), nil); status != http.StatusOK || !bytes.Equal(got, b) {
			p.ts.Fatalf("%s: answered %d with %d bytes, want %d", ocitest.Digest(b), status, len(got), len(b))
		}
	}
}

// checkUpload goes on with an upload that has not ended, and ends it.
func (p *pushes) checkUpload(tag string, i *crashImage) {
	status, h, _ := p.ask(http.MethodGet, i.session, nil)
	at := 0
	if _, last, ok := strings.Cut(h.Get("Range"), "-"); ok && last != "0" {
		n, err := strconv.Atoi(last)
		p.ts.Check(err)
		at = n + 1
	}
	switch {
	case status == http.StatusNotFound && i.ending:
	case status != http.StatusNoContent || i.linked || at < i.offset || at > len(i.layer)/2:
		p.ts.Fatalf("%s: the upload is answered %d at byte %d, and %d were answered for", tag, status, at, i.offset)
	default:
		end := i.session + "?digest=" + ocitest.Digest(i.layer)
		if status, _, _ = p.ask(http.MethodPut, end, i.layer[at:]); status != http.StatusCreated {
			p.ts.Fatalf("%s: the upload cannot be ended from byte %d on: %d", tag, at, status)
		}
		p.must(i.layer)
		i.ending, i.linked = true, true
	}
	if i.linked {
		i.session = ""
	}
}

// finish insists that something was tried.
func (p *pushes) finish() {
	pushed := 0
	for _, i := range p.images {
		if i.pushed {
			pushed++
		}
	}
	if pushed == 0 {
		p.ts.Fatalf("no push was acknowledged between the kills, so nothing was tried")
	}
}

// cmdCrashPulls lets several clients pull the parts of an image of a mirror,
// kills larder at a random moment and starts it again, ROUNDS times. Whatever
// came whole has its digest, and in the end all of it comes: crash-pulls IMAGE DIGEST ROUNDS.
func cmdCrashPulls(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 3, "crash-pulls IMAGE DIGEST ROUNDS")
	rounds, err := strconv.Atoi(args[2])
	ts.Check(err)
	p := &pushes{ts: ts, name: args[0]}
	parts := p.parts(args[1])
	var wrong, came atomic.Int64
	for range rounds {
		var after atomic.Int64
		after.Store(rand.Int64N(20))
		p.killed(func(stop <-chan struct{}) {
			var work sync.WaitGroup
			for range crashPullers {
				work.Go(func() {
					for !closed(stop) {
						part := parts[rand.IntN(len(parts))]
						switch status, _, got := p.ask(http.MethodGet, p.at(part), nil); {
						case status == http.StatusOK && strings.HasSuffix(part, ocitest.Digest(got)):
							came.Add(1)
						case status != 0:
							wrong.Add(1)
						}
						after.Add(-1)
					}
				})
			}
			work.Wait()
		}, &after)
	}
	for _, part := range parts {
		if status, _, got := p.ask(http.MethodGet, p.at(part), nil); status != http.StatusOK || !strings.HasSuffix(part, ocitest.Digest(got)) {
			ts.Fatalf("%s: answered %d with %d bytes", part, status, len(got))
		}
	}
	if wrong.Load() > 0 || came.Load() == 0 {
		ts.Fatalf("%d replies came whole and right, %d whole and wrong", came.Load(), wrong.Load())
	}
}

// parts are the manifest and the blobs of an image, as paths below it.
func (p *pushes) parts(digest string) []string {
	parts := []string{"manifests/" + digest}
	status, _, body := p.ask(http.MethodGet, p.at(parts[0]), nil)
	var doc struct {
		Config ocitest.Descriptor
		Layers []ocitest.Descriptor
	}
	p.ts.Check(json.Unmarshal(body, &doc))
	for _, d := range append(doc.Layers, doc.Config) {
		parts = append(parts, "blobs/"+d.Digest)
	}
	if status != http.StatusOK || len(parts) < 3 {
		p.ts.Fatalf("%s: answered %d: %s", digest, status, body)
	}
	return parts
}
