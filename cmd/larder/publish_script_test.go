package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"larder/upstream/upstreamtest/npmtest"
)

// cmdPublishBody writes the document that npm would send for a folder:
// publish-body DIR FILE [TAG].
func cmdPublishBody(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 2 || len(args) > 3, "publish-body DIR FILE [TAG]")
	files, err := npmtest.Files(os.DirFS(ts.MkAbs(args[0])))
	ts.Check(err)
	tarball, err := npmtest.Pack(files)
	ts.Check(err)
	manifest := make(map[string]any)
	ts.Check(json.Unmarshal(files["package.json"], &manifest))
	tag := "latest"
	if len(args) == 3 {
		tag = args[2]
	}
	body, err := npmtest.PublishBody(manifest, tarball, tag)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), body, 0o644))
}

// cmdPublishMany publishes 1.0.0, 1.0.1 and so on at the same moment (none is sent
// whole before the server has begun to read them all), all under
// the tag latest, and wants every one to succeed. With -same all publish other
// bytes as 1.0.0, and exactly one must succeed: publish-many [-same] PACKAGE N.
func cmdPublishMany(ts *testscript.TestScript, neg bool, args []string) {
	same := len(args) == 3 && args[0] == "-same"
	if same {
		args = args[1:]
	}
	usage(ts, neg || len(args) != 2, "publish-many [-same] PACKAGE N")
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	var writers, begun sync.WaitGroup
	begun.Add(n)
	status := make([]int, n)
	for i := range n {
		c := &crash{ts: ts, name: args[0], sent: make(map[string]string), acked: make(map[string]bool)}
		if !same {
			c.hold = func() {
				begun.Done()
				begun.Wait()
			}
		}
		version := fmt.Sprintf("1.0.%d", i)
		if same {
			version = "1.0.0"
		}
		target, token := ts.Getenv("LARDER")+"/npm/"+args[0], ts.Getenv("ADMIN_TOKEN")
		writers.Go(func() { status[i] = c.publish(target, token, version) })
	}
	writers.Wait()
	created, refused := count(status, http.StatusCreated), count(status, http.StatusConflict)
	if !same && created != n || same && (created != 1 || refused != n-1) {
		ts.Fatalf("%d publishes at once were answered %v", n, status)
	}
}

func count(list []int, want int) int {
	n := 0
	for _, v := range list {
		if v == want {
			n++
		}
	}
	return n
}

// What a crash story publishes between two kills.
const (
	crashWriters = 4
	crashBytes   = 200_000 // incompressible, in each tarball
)

// cmdCrashPublishes publishes versions of one package from several writers,
// kills larder at a random moment and starts it again, ROUNDS times. Whatever
// was answered with success must be there whole; whatever else there is must be
// whole too: crash-publishes PACKAGE ROUNDS.
func cmdCrashPublishes(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 2, "crash-publishes PACKAGE ROUNDS")
	rounds, err := strconv.Atoi(args[1])
	ts.Check(err)
	c := &crash{ts: ts, name: args[0], sent: make(map[string]string), acked: make(map[string]bool)}
	for round := range rounds {
		c.round(round)
	}
	c.check()
}

type crash struct {
	ts   *testscript.TestScript
	name string
	hold func() // if set, called once the server has begun to read a body

	mu    sync.Mutex
	sent  map[string]string // version to integrity
	acked map[string]bool
}

// round publishes until larder dies under it.
func (c *crash) round(round int) {
	var writers sync.WaitGroup
	stop := make(chan struct{})
	target := c.ts.Getenv("LARDER") + "/npm/" + c.name
	token := c.ts.Getenv("ADMIN_TOKEN")
	for writer := range crashWriters {
		writers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					c.publish(target, token, fmt.Sprintf("%d.%d.%d", round+1, writer, n))
				}
			}
		})
	}
	// At a random moment, but not before something was acknowledged: a machine
	// that is busy with other tests may take seconds to its first publish.
	before, wanted := c.acknowledged(), 1+rand.IntN(20)
	for began := time.Now(); c.acknowledged()-before < wanted && time.Since(began) < waitLimit; {
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	}
	cmdKill(c.ts, false, nil)
	close(stop)
	writers.Wait()
	c.ts.Logf("round %d: killed with %d versions acknowledged so far", round, c.acknowledged())
	cmdStart(c.ts, false, nil)
}

func (c *crash) acknowledged() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, ok := range c.acked {
		if ok {
			n++
		}
	}
	return n
}

// publish returns the status of the answer, or 0 when none came.
func (c *crash) publish(target, token, version string) int {
	manifest := map[string]any{"name": c.name, "version": version}
	body, integrity, err := noisyPackage(manifest)
	if err != nil {
		return 0
	}
	c.mu.Lock()
	c.sent[version] = integrity
	c.mu.Unlock()
	q, err := http.NewRequest(http.MethodPut, target, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	q.Header.Set("Authorization", "Bearer "+token)
	q.Header.Set("Content-Type", "application/json")
	client := &http.Client{Timeout: waitLimit}
	if c.hold != nil {
		// The body is sent when the server asks for it, which is when the publish
		// has begun.
		q.Header.Set("Expect", "100-continue")
		q.Body = &heldBody{ReadCloser: q.Body, hold: c.hold}
		transport := &http.Transport{ExpectContinueTimeout: waitLimit}
		defer transport.CloseIdleConnections()
		client.Transport = transport
	}
	w, err := client.Do(q)
	if err != nil {
		return 0 // killed under way: not acknowledged
	}
	defer w.Body.Close()
	_, err = io.Copy(io.Discard, w.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acked[version] = err == nil && w.StatusCode == http.StatusCreated
	return w.StatusCode
}

// heldBody calls hold before it is read.
type heldBody struct {
	io.ReadCloser
	hold func()
	once sync.Once
}

func (b *heldBody) Read(p []byte) (int, error) {
	b.once.Do(b.hold)
	return b.ReadCloser.Read(p)
}

// noisyPackage makes a publish document whose tarball does not compress.
func noisyPackage(manifest map[string]any) (body []byte, integrity string, err error) {
	noise := make([]byte, crashBytes)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		return nil, "", err
	}
	tarball, err := npmtest.Pack(map[string][]byte{"package.json": text, "noise": noise})
	if err != nil {
		return nil, "", err
	}
	body, err = npmtest.PublishBody(manifest, tarball, "latest")
	return body, npmtest.Integrity(tarball), err
}

// check compares what is there with what was sent and acknowledged.
func (c *crash) check() {
	var doc struct {
		Versions map[string]struct {
			Dist struct{ Tarball, Integrity string }
		}
	}
	body := c.get(c.ts.Getenv("LARDER") + "/npm/" + c.name)
	c.ts.Check(json.Unmarshal(body, &doc))
	acknowledged := c.acknowledged()
	for version, ok := range c.acked {
		if ok {
			if _, there := doc.Versions[version]; !there {
				c.ts.Fatalf("%s@%s was acknowledged and is lost", c.name, version)
			}
		}
	}
	if acknowledged == 0 {
		c.ts.Fatalf("no publish was acknowledged between the kills, so nothing was tried")
	}
	for version, v := range doc.Versions {
		got := npmtest.Integrity(c.get(v.Dist.Tarball))
		if got != v.Dist.Integrity || got != c.sent[version] {
			c.ts.Fatalf("%s@%s is not what was sent", c.name, version)
		}
	}
	c.ts.Logf("%d acknowledged, %d there, all whole", acknowledged, len(doc.Versions))
}

func (c *crash) get(url string) []byte {
	q, err := http.NewRequest(http.MethodGet, url, nil)
	c.ts.Check(err)
	q.Header.Set("Authorization", "Bearer "+c.ts.Getenv("ADMIN_TOKEN"))
	w, err := http.DefaultClient.Do(q)
	c.ts.Check(err)
	defer w.Body.Close()
	body, err := io.ReadAll(w.Body)
	c.ts.Check(err)
	if w.StatusCode != http.StatusOK {
		c.ts.Fatalf("GET %s answered %s", url, w.Status)
	}
	return body
}
