package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"larder/formats"
)

// TestTurns: two manifests are looked at, others wait, and what is more than may
// wait is told to come again.
func TestTurns(t *testing.T) {
	q := newTurns()
	q.limit = 10 << 20
	ctx := t.Context()
	var ends []func()
	for range checksAtOnce {
		leave, err := q.queue(ctx, 4<<20)
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, leave)
	}
	entered := make(chan func())
	go func() {
		leave, err := q.queue(ctx, 1<<20)
		if err != nil {
			t.Error(err)
		}
		entered <- leave
	}()
	for q.queued.Load() != 9<<20 {
		runtime.Gosched()
	}
	if _, err := q.queue(ctx, 2<<20); !errors.Is(err, formats.ErrTooMany) {
		t.Fatalf("beyond what may wait: %v", err)
	} else if got := describe(t, &formats.Failure{Status: 429, Err: err, Sentence: err.Error()}, http.Header{}); got.Code != codeTooManyRequests || !strings.Contains(got.Message, "10 MiB") {
		t.Errorf("told as %+v", got)
	}
	left, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := q.queue(left, 1); !errors.Is(err, context.Canceled) {
		t.Fatalf("of a client that left: %v", err)
	}
	select {
	case <-entered:
		t.Fatal("more are looked at than may be at once")
	default:
	}
	ends[0]()
	ends = append(ends[1:], <-entered)
	for _, leave := range ends {
		leave()
	}
	if n := q.queued.Load(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
}

// bulky returns manifests that are small for what readers make of them.
func bulky() map[string]string {
	const size = 2 << 20
	manifest := func(fields string) string {
		return `{"schemaVersion":2,"mediaType":"` + typeImage + `","config":` + desc(configType, "{}") + `,` + fields + `}`
	}
	many := func(one string) string { return one + strings.Repeat(","+one, size/(len(one)+1)) }
	var names strings.Builder
	for i := 0; names.Len() < size; i++ {
		fmt.Fprintf(&names, `,"%x":""`, i)
	}
	return map[string]string{
		"descriptors": manifest(`"layers":[` + many(`{}`) + `]`),
		"platforms":   manifest(`"layers":[` + many(`{"platform":{}}`) + `]`),
		"addresses":   manifest(`"layers":[{"urls":[` + many(`""`) + `]}]`),
		"annotations": manifest(`"layers":[],"annotations":{` + names.String()[1:] + `}`),
		"unknown":     manifest(`"layers":[],"x":[` + many(`0`) + `]`),
	}
}

// TestThreat23ManifestsOfMany: what a manifest costs in memory is bounded by its
// size, also where it has next to nothing very often.
func TestThreat23ManifestsOfMany(t *testing.T) {
	for name, body := range bulky() {
		for reader, read := range map[string]func() error{
			"pushed": func() error {
				_, err := checkManifest([]string{typeImage}, "", []byte(body))
				return err
			},
			"mirrored": func() error {
				_, err := factsOf("a/b", strings.NewReader(body), typeImage)
				return err
			},
		} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := read()
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), "names and values") {
				t.Errorf("%s, %s: %v", name, reader, err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 10*uint64(len(body)) {
				t.Errorf("%s, %s: %d MiB for %d", name, reader, used>>20, len(body)>>20)
			}
		}
	}
}

// TestMostTokens: the limit itself is allowed.
func TestMostTokens(t *testing.T) {
	// The object, the field and its array have five.
	for n, ok := range map[int]bool{maxTokens - 5: true, maxTokens - 4: false} {
		body := []byte(`{"x":[0` + strings.Repeat(",0", n-1) + `]}`)
		if err := checkSyntax(body); (err == nil) != ok || tooMany(body) == ok {
			t.Errorf("%d values: %v, %v", n, err, tooMany(body))
		}
	}
	if tooMany(bytes.Repeat([]byte("["), 10)) {
		t.Error("what ends in the middle has too many")
	}
}
