package oci

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

func TestContentRange(t *testing.T) {
	for text, want := range map[string]chunk{
		"0-0": {0, 0}, "0-1023": {0, 1023}, "1024-2047": {1024, 2047}, "7-7": {7, 7}, "00-09": {0, 9},
	} {
		got, given, err := parseChunk(http.Header{"Content-Range": {text}})
		if err != nil || !given || got != want {
			t.Errorf("%s: %+v, %v, %v", text, got, given, err)
		}
	}
	for _, text := range []string{
		"", "5-3", "a-b", "0-99999999999999999999", "9223372036854775807-9223372036854775807", "-5", "5-", "-", "5", "bytes 0-5/6", "bytes=0-5",
		"0-5/6", " 0-5", "0 - 5", "0--5", "+0-5", "0x0-5", "1-2-3", "0-5,6-7",
	} {
		got, given, err := parseChunk(http.Header{"Content-Range": {text}})
		if err == nil {
			t.Errorf("%q was taken as %+v (%v)", text, got, given)
			continue
		}
		if f := failureOf(err); f.Status != 400 || codeOf(f) != codeBlobUploadInvalid {
			t.Errorf("%q: %d %s", text, f.Status, codeOf(f))
		}
	}
	if _, _, err := parseChunk(http.Header{"Content-Range": {"0-1", "0-1"}}); err == nil {
		t.Error("two fields were taken for one")
	}
	if _, given, err := parseChunk(http.Header{}); given || err != nil {
		t.Errorf("no field: %v, %v", given, err)
	}
}

func TestChunksMustFit(t *testing.T) {
	for _, c := range []struct {
		chunk        chunk
		held, length int64
		status       int
		code         code
	}{
		{chunk{0, 9}, 0, 10, 0, ""},
		{chunk{0, 9}, 0, -1, 0, ""},
		{chunk{10, 19}, 10, 10, 0, ""},
		{chunk{10, 19}, 0, 10, 416, codeBlobUploadInvalid},
		{chunk{0, 9}, 10, 10, 416, codeBlobUploadInvalid},
		{chunk{0, 9}, 5, -1, 416, codeBlobUploadInvalid},
		{chunk{0, 9}, 0, 9, 400, codeSizeInvalid},
		{chunk{0, 9}, 0, 11, 400, codeSizeInvalid},
		{chunk{0, 9}, 0, 0, 400, codeSizeInvalid},
	} {
		err := c.chunk.fits("/l", c.held, c.length)
		if (err == nil) != (c.status == 0) {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if err == nil {
			continue
		}
		f := failureOf(err)
		if f.Status != c.status || codeOf(f) != c.code {
			t.Errorf("%+v: %d %s", c, f.Status, codeOf(f))
		}
	}
}

func TestProgress(t *testing.T) {
	for held, want := range map[int64]string{0: "0-0", 1: "0-0", 2: "0-1", 1024: "0-1023"} {
		h := progress("/v2/a/blobs/uploads/X", held)
		if h.Get("Range") != want || h.Get("Location") != "/v2/a/blobs/uploads/X" {
			t.Errorf("%d bytes: %v", held, h)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"0-5", "5-3", "a-b", "0-99999999999999999999", "", "-", "bytes 0-5/6"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, given, err := parseChunk(http.Header{"Content-Range": {s}})
		if err != nil {
			return
		}
		first, last, _ := strings.Cut(s, "-")
		from, err1 := strconv.ParseInt(first, 10, 64)
		to, err2 := strconv.ParseInt(last, 10, 64)
		if !given || err1 != nil || err2 != nil || c != (chunk{from, to}) || c.size() < 1 || c.to > math.MaxInt64-1 {
			t.Errorf("%q was taken as %+v", s, c)
		}
	})
}
