package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sync/errgroup"

	"larder/upstream/upstreamtest/ocitest"
)

// cmdOCIUpstream starts a scripted registry of containers:
//
//	oci-upstream NAME [-auth basic|bearer] [-password P] [-guests] [-redirects] [-no-referrers] [-no-digest]
//
// It sets $NAME, in upper case, to its URL, $NAME_HOST to its host and
// $NAME_BLOBS_HOST to that which it sends clients to.
func cmdOCIUpstream(ts *testscript.TestScript, neg bool, args []string) {
	const form = "oci-upstream NAME [-auth basic|bearer] [-password P] [-guests] [-redirects] [-no-referrers] [-no-digest]"
	usage(ts, neg || len(args) < 1, form)
	var opt ocitest.Options
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	auth := flags.String("auth", "open", "")
	flags.StringVar(&opt.Password, "password", "", "")
	flags.BoolVar(&opt.Guests, "guests", false, "")
	flags.BoolVar(&opt.Redirects, "redirects", false, "")
	flags.BoolVar(&opt.NoReferrers, "no-referrers", false, "")
	flags.BoolVar(&opt.NoDigest, "no-digest", false, "")
	ways := []string{"open", "basic", "bearer"}
	err := flags.Parse(args[1:])
	way := slices.Index(ways, *auth)
	usage(ts, err != nil || flags.NArg() > 0 || way < 0, form)
	opt.Auth = ocitest.Auth(way)
	r, err := ocitest.Start(opt)
	ts.Check(err)
	s := storyOf(ts)
	s.upstreams[args[0]] = r
	s.announceHost(ts, args[0], strings.TrimPrefix(r.URL, "http://"))
	ts.Setenv(strings.ToUpper(args[0])+"_BLOBS_HOST", strings.TrimPrefix(r.Blobs.URL, "http://"))
}

// cmdOCIImage puts an image into a scripted registry and prints its digest:
//
//	oci-image NAME IMAGE[:TAG] [-layers N] [-size BYTES] [-platforms os/arch,...] [-subject DIGEST] [-type ARTIFACT]
//
// Every layer is an archive of one file of that many bytes that cannot be made
// smaller. Several platforms make an index. Without a tag the image is found by
// its digest alone.
func cmdOCIImage(ts *testscript.TestScript, neg bool, args []string) {
	const form = "oci-image NAME IMAGE[:TAG] [-layers N] [-size BYTES] [-platforms os/arch,...] [-subject DIGEST] [-type ARTIFACT]"
	usage(ts, neg || len(args) < 2, form)
	r, ok := upstreamOf(ts, args[0]).(*ocitest.Registry)
	if !ok {
		ts.Fatalf("the upstream %q is none of containers", args[0])
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	layers := flags.Int("layers", 1, "")
	size := flags.Int("size", 1000, "")
	platforms := flags.String("platforms", "", "")
	subject := flags.String("subject", "", "")
	kind := flags.String("type", "", "")
	usage(ts, flags.Parse(args[2:]) != nil || flags.NArg() > 0, form)
	name, tag, _ := strings.Cut(args[1], ":")
	im := ocitest.Image{ArtifactType: *kind}
	if *subject != "" {
		im.Subject = &ocitest.Descriptor{MediaType: ocitest.TypeImage, Digest: *subject, Size: 1}
	}
	for i := range *layers {
		im.Layers = append(im.Layers, noisyLayer(ts, fmt.Sprintf("noise-%d", i), *size))
	}
	if *platforms == "" {
		d, err := r.Push(name, tag, im)
		ts.Check(err)
		fmt.Fprintln(ts.Stdout(), d.Digest)
		return
	}
	var children []ocitest.Descriptor
	for text := range strings.SplitSeq(*platforms, ",") {
		system, machine, _ := strings.Cut(text, "/")
		im.Platform = ocitest.Platform{OS: system, Architecture: machine}
		child, err := r.Push(name, "", im)
		ts.Check(err)
		children = append(children, child)
	}
	d, err := r.PushIndex(name, tag, children...)
	ts.Check(err)
	fmt.Fprintln(ts.Stdout(), d.Digest)
}

// noisyLayer is a layer with one file of random bytes.
func noisyLayer(ts *testscript.TestScript, name string, size int) []byte {
	content := make([]byte, size)
	rand.Read(content) // never fails (crypto/rand)
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	archive := tar.NewWriter(packed)
	ts.Check(archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(size), ModTime: time.Unix(0, 0)}))
	_, err := archive.Write(content)
	ts.Check(err)
	ts.Check(archive.Close())
	ts.Check(packed.Close())
	return out.Bytes()
}

// cmdNoise writes a file of random bytes: noise FILE BYTES.
func cmdNoise(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 2, "noise FILE BYTES")
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = io.CopyN(f, rand.Reader, size)
	ts.Check(err)
	ts.Check(f.Close())
}

// cmdOCITags gives the image under a tag more tags, until there are N, and prints
// them all as a registry must list them, in the order of bytes: oci-tags
// HOST/IMAGE:TAG N [TOKEN]. The tags are t0000, t0001 and so on.
func cmdOCITags(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 2 || len(args) > 3, "oci-tags HOST/IMAGE:TAG N [TOKEN]")
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	host, rest, _ := strings.Cut(args[0], "/")
	image, tag, _ := strings.Cut(rest, ":")
	m := manifests{url: "http://" + host + "/v2/" + image + "/manifests/", token: append(args, "")[2]}
	body, err := m.ask(http.MethodGet, tag, nil)
	ts.Check(err)
	tags := make(chan string)
	var pushers errgroup.Group
	for range tagPushers {
		pushers.Go(func() error {
			var failed error
			for tag := range tags {
				if _, err := m.ask(http.MethodPut, tag, body); err != nil {
					failed = err
				}
			}
			return failed
		})
	}
	for i := range n {
		tag := fmt.Sprintf("t%04d", i)
		tags <- tag
		fmt.Fprintln(ts.Stdout(), tag)
	}
	close(tags)
	ts.Check(pushers.Wait())
}

// tagPushers is how many tags are pushed at once: each waits for the disk.
const tagPushers = 16

// manifests are those of an image.
type manifests struct{ url, token string }

// ask gets or puts an image's manifest and returns what was answered.
func (m manifests) ask(method, ref string, body []byte) ([]byte, error) {
	q, err := http.NewRequest(method, m.url+ref, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Content-Type", ocitest.TypeImage)
	q.Header.Set("Accept", ocitest.TypeImage)
	if m.token != "" {
		q.SetBasicAuth("user", m.token)
	}
	w, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, err
	}
	defer w.Body.Close()
	got, err := io.ReadAll(w.Body)
	if err == nil && w.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s %s answered %s: %s", method, ref, w.Status, got)
	}
	return got, err
}
