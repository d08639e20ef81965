package npm

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"io"
	"iter"
	"net/url"
	"slices"
	"strings"
	"time"

	"larder/cache"
)

// maxURL is the longest tarball URL taken from an upstream, bytes.
const maxURL = 2048

// FileFacts is what a packument says of one tarball.
type FileFacts struct {
	File      string // conventional name
	Version   string
	Integrity string // "sha512-..." or "sha256-..." or "sha1-..."; "" if unknown
	Shasum    string // SHA-1, 40 hex digits; "" if unknown
	URL       string // where the upstream has it; "" if it named no usable place
	// Published is zero if the upstream did not say.
	Published time.Time
}

// Sums returns the checksums to verify the tarball by: the integrity where
// there is one, else the shasum.
func (f FileFacts) Sums() []cache.Sum {
	if alg, digest, ok := strings.Cut(f.Integrity, "-"); ok {
		if raw, err := base64.StdEncoding.DecodeString(digest); err == nil {
			return []cache.Sum{{Algorithm: cache.Algorithm(alg), Value: raw}}
		}
	}
	if raw, err := hex.DecodeString(f.Shasum); err == nil && len(raw) > 0 {
		return []cache.Sum{{Algorithm: cache.SHA1, Value: raw}}
	}
	return nil
}

// WriteFiles renders a packument as the index of its tarballs: a line each,
//
//	file TAB version TAB integrity TAB shasum TAB url TAB published LF
//
// sorted bytewise by file name, "-" for what is unknown. Only conventional
// names are listed, and only versions that can stand in one. Hidden versions
// are listed: a rule that hides them must be able to say why. Errors as
// WriteFull.
func WriteFiles(dst io.Writer, src io.Reader, v View) error {
	var f filer
	f.name = v.Name
	t, err := walk(src, v.Name, &f)
	if err != nil {
		return err
	}
	if t.unpublished {
		return errUnpublished(v.Name)
	}
	published := map[string]time.Time{}
	for m := range members(t.times) {
		if s, ok := text(m.value); ok {
			if at, ok := parseTime(s); ok {
				published[string(m.name)] = at
			}
		}
	}
	slices.SortFunc(f.lines, func(a, b FileFacts) int { return strings.Compare(a.File, b.File) })
	w := bufio.NewWriter(dst)
	for _, line := range f.lines {
		line.Published = published[line.Version]
		w.Write(line.append(w.AvailableBuffer()))
	}
	return w.Flush()
}

// filer collects one line per version.
type filer struct {
	name  string
	lines []FileFacts
}

func (f *filer) member(string, []byte) error { return nil }

func (f *filer) version(version string, manifest []byte) error {
	file, ok := FileName(f.name, version)
	if !ok {
		return nil
	}
	facts := FileFacts{File: file, Version: version}
	for m := range members(field(manifest, "dist")) {
		s, _ := text(m.value)
		switch string(m.name) {
		case "integrity":
			facts.Integrity = strongest(s)
		case "shasum":
			if raw, err := hex.DecodeString(s); err == nil && len(raw) == sha1.Size {
				facts.Shasum = strings.ToLower(s)
			}
		case "tarball":
			facts.URL = tarballRef(s)
		}
	}
	f.lines = append(f.lines, facts)
	return nil
}

// tarballRef returns an upstream's tarball URL if it is an absolute http or
// https one without credentials, else "".
func tarballRef(s string) string {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxURL || u.Host == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return ""
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] == 0x7f {
			return ""
		}
	}
	u.Fragment, u.RawFragment = "", ""
	return u.String()
}

// strongest picks, of the hashes in an integrity string, the strongest that the
// store computes, in canonical form; "" if there is none.
func strongest(integrity string) string {
	best, rank := "", 0
	for item := range strings.FieldsSeq(integrity) {
		item, _, _ = strings.Cut(item, "?")
		alg, digest, _ := strings.Cut(item, "-")
		size, r := 0, 0
		switch cache.Algorithm(alg) {
		case cache.SHA512:
			size, r = sha512.Size, 3
		case cache.SHA256:
			size, r = sha256.Size, 2
		case cache.SHA1:
			size, r = sha1.Size, 1
		}
		raw, err := base64.StdEncoding.Strict().DecodeString(digest)
		if err == nil && len(raw) == size && r > rank {
			best, rank = alg+"-"+base64.StdEncoding.EncodeToString(raw), r
		}
	}
	return best
}

func (f FileFacts) append(b []byte) []byte {
	published := ""
	if !f.Published.IsZero() {
		published = FormatTime(f.Published)
	}
	for i, s := range []string{f.File, f.Version, f.Integrity, f.Shasum, f.URL, published} {
		if i > 0 {
			b = append(b, '\t')
		}
		if s == "" {
			s = "-"
		}
		b = append(b, s...)
	}
	return append(b, '\n')
}

// FindFile looks a tarball up in what WriteFiles wrote, by bisection.
func FindFile(index []byte, file string) (FileFacts, bool) {
	for len(index) > 0 {
		from := bytes.LastIndexByte(index[:len(index)/2], '\n') + 1
		line, _, _ := bytes.Cut(index[from:], []byte{'\n'})
		name, _, _ := bytes.Cut(line, []byte{'\t'})
		switch c := strings.Compare(file, string(name)); {
		case c == 0:
			return parseLine(line)
		case c < 0:
			index = index[:from]
		default:
			index = index[min(from+len(line)+1, len(index)):]
		}
	}
	return FileFacts{}, false
}

// FindVersion looks a version of the package up in what WriteFiles wrote.
func FindVersion(index []byte, name, version string) (FileFacts, bool) {
	file, ok := FileName(name, version)
	if !ok {
		return FileFacts{}, false
	}
	f, ok := FindFile(index, file)
	return f, ok && f.Version == version
}

// Files yields every line of an index.
func Files(index []byte) iter.Seq[FileFacts] {
	return func(yield func(FileFacts) bool) {
		for line := range bytes.Lines(index) {
			f, ok := parseLine(bytes.TrimSuffix(line, []byte{'\n'}))
			if ok && !yield(f) {
				return
			}
		}
	}
}

func parseLine(line []byte) (FileFacts, bool) {
	parts := strings.Split(string(line), "\t")
	if len(parts) != 6 {
		return FileFacts{}, false
	}
	for i, p := range parts {
		if p == "-" {
			parts[i] = ""
		}
	}
	f := FileFacts{File: parts[0], Version: parts[1], Integrity: parts[2], Shasum: parts[3], URL: parts[4]}
	f.Published, _ = parseTime(parts[5])
	return f, true
}
