package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

const wrkOutput = `Running 2s test @ http://127.0.0.1:1/x
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.05ms  310.00us   9.00ms   90.00%
    Req/Sec    30.10k     1.00k   32.00k    70.00%
  Latency Distribution
     50%  980.00us
     75%    1.10ms
     90%    1.30ms
     99%    2.25ms
  60123 requests in 2.00s, 70.11MB read
Requests/sec:  30055.10
Transfer/sec:     35.04MB
`

func TestParseLoad(t *testing.T) {
	l, err := parseLoad(wrkOutput)
	if err != nil {
		t.Fatal(err)
	}
	want := load{requests: 60123, bytes: 70.11 * (1 << 20), rate: 30055.10, p50: 980 * time.Microsecond, p99: 2250 * time.Microsecond}
	if l != want {
		t.Errorf("got %+v, want %+v", l, want)
	}
	for name, text := range map[string]string{
		"failures": wrkOutput + "  Non-2xx or 3xx responses: 7\n",
		"sockets":  wrkOutput + "  Socket errors: connect 0, read 3, write 0, timeout 0\n",
		"nothing":  "",
		"no rate":  strings.Replace(wrkOutput, "Requests/sec", "Requests", 1),
		"none":     strings.Replace(wrkOutput, "60123 requests", "0 requests", 1),
		"no size":  strings.Replace(wrkOutput, "70.11MB", "much", 1),
		"units":    strings.Replace(wrkOutput, "70.11MB", "70.11PB", 1),
	} {
		if _, err := parseLoad(text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestQuantile(t *testing.T) {
	values := []int{5, 1, 4, 2, 3}
	if median(values) != 3 || quantile(values, 0.99) != 5 || quantile(values, 0) != 1 || median([]int(nil)) != 0 {
		t.Errorf("quantiles of %v: %d, %d, %d", values, median(values), quantile(values, 0.99), quantile(values, 0))
	}
	if !slices.Equal(values, []int{5, 1, 4, 2, 3}) {
		t.Error("the values were reordered")
	}
}

func TestParse(t *testing.T) {
	b, name, err := parse([]string{"-rounds", "3", "-entries", "10, 20", "growth"}, nil, new(bytes.Buffer))
	if err != nil || name != "growth" || b.rounds != 3 || !slices.Equal(b.entries, []int{10, 20}) {
		t.Errorf("got %+v, %q, %v", b, name, err)
	}
	for _, args := range [][]string{
		nil, {"nothing"}, {"hits", "misses"}, {"-rounds", "0", "hits"}, {"-entries", "2,1", "hits"}, {"-entries", "x", "hits"}, {"-unknown", "hits"},
	} {
		if _, _, err := parse(args, nil, new(bytes.Buffer)); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	table(&out, "a | b", [][]string{{bytesText(16 << 10), ratio(over(1.0, 2))}, {bytesText(512), ratio(over(1.0, 0))}})
	want := "| a | b |\n| --- | --- |\n| 16 KiB | 0.50x |\n| 512 B | NaNx |\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestFetch(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/whole":
			_, _ = w.Write(noise(1000))
		case "/cut":
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write(noise(10))
		default:
			http.NotFound(w, r)
		}
	}))
	defer s.Close()
	got, err := fetch(context.Background(), s.URL+"/whole")
	if err != nil || got.size != 1000 || got.first <= 0 || got.total < got.first {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, path := range []string{"/cut", "/missing"} {
		if _, err := fetch(context.Background(), s.URL+path); err == nil {
			t.Errorf("%s: no error", path)
		}
	}
}
