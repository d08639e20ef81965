package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestLoadCheck: neither an error page nor a cut body may pass for a fast reply.
func TestLoadCheck(t *testing.T) {
	for name, c := range map[string]struct {
		bytes float64
		size  int64
		ok    bool
	}{
		"whole":         {1000 * 1400, 1024, true},
		"rounded":       {1000 * 1020, 1024, true},
		"on their way":  {1032 * 1400, 1024, true},
		"error pages":   {1000 * 400, 1024, false},
		"half of each":  {1000 * (512<<10 + 300), 1 << 20, false},
		"something big": {1000 * 9000, 1024, false},
	} {
		err := load{requests: 1000, bytes: c.bytes}.check(c.size, 32)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWrkArguments(t *testing.T) {
	// wrk need not be installed where tests run.
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "wrk"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	b := &bench{dir: t.TempDir(), connections: 4, duration: 2 * time.Second}
	s := &server{url: "http://127.0.0.1:1"}
	plain, err := b.wrkArgs(s, target{path: "/x", header: "Accept-Encoding: gzip", last: time.Second})
	if want := strings.Fields("--latency -t 1 -c 4 -d 1s -H"); err != nil || !slices.Equal(plain[:8], want) || plain[8] != "Accept-Encoding: gzip" ||
		plain[9] != s.url+"/x" || len(plain) != 10 {
		t.Errorf("got %q, %v", plain, err)
	}
	paced, err := b.wrkArgs(s, target{path: "/p%d/%d", paths: 8, pause: 1500 * time.Microsecond})
	if want := []string{"-s", filepath.Join(b.dir, "load.lua"), s.url + "/", "--", "/p%d/%d", "8", "1.500"}; err != nil || !slices.Equal(paced[7:], want) {
		t.Errorf("got %q, %v", paced, err)
	}
}

func TestHalf(t *testing.T) {
	b := &bench{connections: 32}
	got := b.half(target{path: "/x"}, loads{rate: []float64{16_000}})
	if got.path != "/x" || got.pause != 3*time.Millisecond {
		t.Errorf("got %+v", got)
	}
}

// TestCertificate: what nginx and larder are given is believed, and by nobody else.
func TestCertificate(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	pair, err := b.certificate()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := tls.LoadX509KeyPair(pair.file, pair.key)
	if err != nil {
		t.Fatal(err)
	}
	far := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(noise(10)) }))
	far.TLS = &tls.Config{Certificates: []tls.Certificate{keys}}
	far.StartTLS()
	defer far.Close()
	var got strings.Builder
	s := &server{url: far.URL, roots: pair.roots}
	if f, err := s.read(t.Context(), "/", &got); err != nil || f.size != 10 || got.String() != string(noise(10)) {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := fetch(t.Context(), far.URL); err == nil {
		t.Error("a stranger believes the certificate")
	}
}

// TestAnswers: a peer that sends other bytes, or never from its cache, is no peer.
func TestAnswers(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if asked++; asked > 2 && r.URL.Path != "/never" {
			w.Header().Set("X-Cache", "hit")
		}
		_, _ = w.Write(noise(10))
	}))
	defer far.Close()
	s := &server{url: far.URL, hit: "X-Cache"}
	if err := s.answers(t.Context(), target{path: "/soon"}, noise(10)); err != nil || asked != 3 {
		t.Errorf("asked %d times, %v", asked, err)
	}
	if err := s.answers(t.Context(), target{path: "/soon"}, noise(11)); err == nil {
		t.Error("other bytes passed")
	}
	if err := s.answers(t.Context(), target{path: "/never"}, noise(10)); err == nil {
		t.Error("a server without a cache passed")
	}
}

func TestEach(t *testing.T) {
	all := make([]publication, 50)
	for i := range all {
		all[i].name = strings.Repeat("x", i)
	}
	var mu sync.Mutex
	seen := map[string]int{}
	took, err := each(context.Background(), 7, all, func(p publication) error {
		mu.Lock()
		defer mu.Unlock()
		seen[p.name]++
		return nil
	})
	if err != nil || len(took) != len(all) || len(seen) != len(all) {
		t.Errorf("%d calls, %d names, %v", len(took), len(seen), err)
	}
	odd := errors.New("odd")
	if _, err := each(context.Background(), 3, all, func(publication) error { return odd }); !errors.Is(err, odd) {
		t.Errorf("a failure is lost: %v", err)
	}
}
