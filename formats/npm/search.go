package npm

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Limits of a search.
const (
	defaultSearchSize = 20
	maxSearchSize     = 250
	maxSearchFrom     = 5000
	maxSearchText     = 512 // bytes
)

// SearchQuery is a client's search. Text is a list of words, never a pattern.
type SearchQuery struct {
	Words []string // lower case
	Size  int
	From  int
}

// ParseSearch reads the query of a search. Numbers out of range are brought
// into it and weights are passed over, as clients send what they like.
func ParseSearch(q url.Values) SearchQuery {
	text := q.Get("text")
	if len(text) > maxSearchText {
		text = strings.ToValidUTF8(text[:maxSearchText], "")
	}
	return SearchQuery{
		Words: strings.Fields(strings.ToLower(text)),
		Size:  bounded(q.Get("size"), defaultSearchSize, 1, maxSearchSize),
		From:  bounded(q.Get("from"), 0, 0, maxSearchFrom),
	}
}

// mention is what could be a name, or a scope, within a word of a search.
var mention = regexp.MustCompile(`@?[a-z0-9._~-]+(/[a-z0-9._~-]+)?`)

// Names returns every package name that the words may mean, however they are
// written: in quotes, with a version, after a qualifier, or a scope alone, for
// which a name within it stands.
func (q SearchQuery) Names() []string {
	plain := strings.NewReplacer("%2f", "/", "scope:@", "@", "scope:", "@")
	var names []string
	add := func(name string) {
		if readableName(name) {
			names = append(names, name)
		}
	}
	for _, word := range q.Words {
		add(word)
		for _, m := range mention.FindAllString(plain.Replace(word), -1) {
			scoped, slash := strings.HasPrefix(m, "@"), strings.Contains(m, "/")
			switch {
			case scoped && !slash:
				add(m + "/x")
			case slash && !scoped:
				add("@" + m)
			}
			add(m)
		}
	}
	return names
}

func bounded(s string, fallback, low, high int) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return fallback
	}
	return min(max(n, low), high)
}

// Matches reports whether each word is in the entry's name, description or
// keywords.
func (q SearchQuery) Matches(e SearchEntry) bool {
	text := strings.ToLower(e.Name + "\n" + e.Description + "\n" + strings.Join(e.Keywords, "\n"))
	for _, w := range q.Words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// SearchEntry is one hit. Clients fail on hits without version or maintainers,
// so these are always written.
type SearchEntry struct {
	Name, Version, Description string
	Keywords                   []string
	Date                       time.Time
	Links                      map[string]string // npm, homepage, repository, bugs
	Publisher                  Person
	Maintainers                []Person
	// Raw is an upstream's whole hit, written as it came in place of the rest.
	Raw []byte
}

// BuildSearch writes a search reply: the hits in the order given, out of total.
func BuildSearch(hits []SearchEntry, total int, now time.Time) []byte {
	var b builder
	b.open()
	b.key("objects")
	b.openArray()
	for _, e := range hits {
		if e.Raw != nil {
			b.value(e.Raw)
			continue
		}
		b.open()
		e.append(&b)
		b.key("score")
		b.value([]byte(`{"final":1,"detail":{"quality":1,"popularity":1,"maintenance":1}}`))
		b.int("searchScore", 1)
		b.close()
	}
	b.closeArray()
	b.int("total", int64(total))
	b.text("time", FormatTime(now))
	b.close()
	return b.out
}

func (e SearchEntry) append(b *builder) {
	scope, _ := splitName(e.Name)
	if scope == "" {
		scope = "unscoped"
	}
	b.key("package")
	b.open()
	b.text("name", e.Name)
	b.text("scope", scope)
	b.text("version", e.Version)
	b.text("description", e.Description)
	b.key("keywords")
	b.openArray()
	for _, k := range e.Keywords {
		b.string(k)
	}
	b.closeArray()
	b.text("date", FormatTime(e.Date))
	b.key("links")
	b.open()
	for _, k := range []string{"npm", "homepage", "repository", "bugs"} {
		if e.Links[k] != "" {
			b.text(k, e.Links[k])
		}
	}
	b.close()
	b.key("publisher")
	searchPerson(b, e.Publisher)
	b.key("maintainers")
	b.openArray()
	for _, p := range e.Maintainers {
		searchPerson(b, p)
	}
	b.closeArray()
	b.close()
}

func searchPerson(b *builder, p Person) {
	b.open()
	b.text("username", p.Name)
	b.text("email", p.Email)
	b.close()
}

// ReadSearch reads an upstream's search reply: its usable hits, and the total
// it states. Hits without name and version, which clients could not read, are
// left out. Errors: ErrDocument.
func ReadSearch(reply []byte) (hits []SearchEntry, total int, err error) {
	raw, err := value(reply)
	if err != nil {
		return nil, 0, err
	}
	for hit := range elements(field(raw, "objects")) {
		pkg := field(hit, "package")
		e := SearchEntry{Name: textField(pkg, "name"), Version: textField(pkg, "version"), Raw: hit}
		if readableName(e.Name) && e.Version != "" && strings.HasPrefix(string(field(pkg, "maintainers")), "[") {
			hits = append(hits, e)
		}
	}
	total, err = strconv.Atoi(string(field(raw, "total")))
	if err != nil || total < len(hits) {
		total = len(hits)
	}
	return hits, total, nil
}
