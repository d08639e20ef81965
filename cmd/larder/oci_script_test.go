package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"larder/upstream/upstreamtest/ocitest"
)

// cmdOCIUpstream starts a scripted registry of containers:
//
//	oci-upstream NAME [-auth basic|bearer] [-password P] [-guests] [-redirects] [-no-referrers] [-no-digest]
//
// It sets $NAME, in upper case, to its URL and $NAME_HOST to its host.
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

// conformanceTests is fewer than the protocol's test makes, and more than it
// would if a part of it were left out unseen.
const conformanceTests = 700

// conformanceTold is how many lines a story prints of what failed.
const conformanceTold = 80

// cmdConformance runs the protocol's own test against a registry:
//
//	conformance HOST VERSION [TOKEN]
//
// It prints what was skipped. Whatever fails, ends in an error or is not run at all
// fails the story. The exit status of the test tells less: it is 0 when the
// test could not begin.
func cmdConformance(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 2 || len(args) > 3, "conformance HOST VERSION [TOKEN]")
	ctx, cancel := context.WithTimeout(context.Background(), 2*waitLimit)
	defer cancel()
	program, err := storyOf(ts).program("conformance")
	ts.Check(err)
	cmd := exec.CommandContext(ctx, program)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(environment(ts), "OCI_REGISTRY="+args[0], "OCI_TLS=disabled", "OCI_VERSION="+args[1], "OCI_LOG=error",
		"OCI_REPO1=conformance/one", "OCI_REPO2=conformance/two", "OCI_RESULTS_DIR="+ts.MkAbs("results-"+args[1]))
	if len(args) == 3 {
		cmd.Env = append(cmd.Env, "OCI_USERNAME=user", "OCI_PASSWORD="+args[2])
	}
	out, err := cmd.CombinedOutput()
	judgeConformance(ts, out, err)
}

var (
	conformanceTotal = regexp.MustCompile(`(?m)^  (Skip|Pass|FAIL|Error|Total)\.*: +(\d+)$`)
	conformanceTest  = regexp.MustCompile(`^ +(\S.*): (Skip|FAIL|Error)$`)
)

// judgeConformance reads what the test printed: a tree of tests with a sentence
// below each that did not pass, and a table of counts.
func judgeConformance(ts *testscript.TestScript, out []byte, ended error) {
	counts := map[string]int{"FAIL": math.MaxInt, "Error": math.MaxInt}
	for _, m := range conformanceTotal.FindAllSubmatch(out, -1) {
		n, err := strconv.Atoi(string(m[2]))
		ts.Check(err)
		counts[string(m[1])] = n
	}
	var bad strings.Builder
	telling := false
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		line := lines.Text()
		m := conformanceTest.FindStringSubmatch(line)
		switch {
		case m != nil && m[2] == "Skip":
			fmt.Fprintln(ts.Stdout(), "skipped: "+m[1])
			telling = false
		case m != nil:
			bad.WriteString("\n" + line)
			telling = true
		case strings.HasPrefix(line, "OCI Conformance Result"):
			telling = false
		case strings.HasSuffix(line, ": Pass") || strings.HasSuffix(line, ": Disabled"):
			telling = false
		case telling:
			bad.WriteString("\n\t" + line)
		}
	}
	if counts["FAIL"] == 0 && counts["Error"] == 0 && counts["Total"] >= conformanceTests &&
		bytes.Contains(out, []byte("OCI Conformance Result: Pass")) {
		return
	}
	if bad.Len() == 0 {
		bad.WriteString("\n" + tail(string(out), 20))
	}
	told := head(bad.String(), conformanceTold)
	ts.Fatalf("of %d tests %d failed and %d had an error (%v):%s", counts["Total"], counts["FAIL"], counts["Error"], ended, told)
}

func head(text string, lines int) string {
	all := strings.Split(text, "\n")
	return strings.Join(all[:min(lines, len(all))], "\n")
}
