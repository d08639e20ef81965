package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"larder/cache/clocktest"
	"larder/cache/memory"
	"larder/policy/token"
)

// everywhere returns a record that has the text wherever there is room for one.
func everywhere(text string) Record {
	r := Record{Decision: Deny, Status: 403, Count: 7, IP: netip.MustParseAddr("2001:db8::1")}
	for _, part := range []any{&r, &r.Actor, &r.Resource, &r.Reason} {
		v := reflect.ValueOf(part).Elem()
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.String && f.String() == "" {
				f.SetString(text)
			}
		}
	}
	r.PrevHash, r.Hash = "", ""
	state := State{}
	for i := range maxFields + 3 {
		state[fmt.Sprint(i, text)] = text
	}
	r.Before, r.After = state, state
	return r
}

// The form is fixed: other programs verify it, and so does a later version.
func TestLineIsCanonical(t *testing.T) {
	index, c := memory.NewIndex(), Chain{Node: "n1", Clock: clocktest.New(0).Now}
	record(t, index, c, Record{
		Action: "repository.visibility", Decision: Allow, Status: 200,
		Resource: Resource{Owner: "acme", Repository: "acme/packages"},
		Before:   State{"visibility": "private"}, After: State{"visibility": "public", "by": "<api> & \"quotes\""},
	})
	record(t, index, c, Record{
		Action: "publish", Decision: Deny, Status: 403, DecisionID: "D1",
		Resource: Resource{Format: "npm", Package: "@acme/a", Version: "1.0.0"}, Reason: Reason{Role: "write", Sentence: "ask"},
	})
	head := `"time":"2026-03-01T12:00:00Z","node":"n1","request_id":"r-1",` +
		`"actor":{"id":"alice","kind":"user","token_id":"0a1b","token_last4":"wxyz","via":"bearer"},"ip":"192.0.2.1","user_agent":"npm/11.0.0",`
	want := []string{
		`{"seq":1,` + head + `"action":"repository.visibility","resource":{"owner":"acme","repository":"acme/packages"},` +
			`"decision":"allow","status":200,"before":{"visibility":"private"},"after":{"by":"<api> & \"quotes\"","visibility":"public"}`,
		`{"seq":2,` + head + `"action":"publish","resource":{"format":"npm","package":"@acme/a","version":"1.0.0"},` +
			`"decision":"deny","decision_id":"D1","reason":{"role":"write","sentence":"ask"},"status":403`,
	}
	prev := make([]byte, 32)
	for i, r := range records(t, index) {
		sum := sha256.Sum256(append(bytes.Clone(prev), want[i]+"}"...))
		line, err := r.Line()
		must(t, err)
		if got := want[i] + fmt.Sprintf(`,"prev_hash":"%x","hash":"%x"}`, prev, sum); string(line) != got {
			t.Errorf("line %d is\n%s\nwant\n%s", i+1, line, got)
		}
		prev = sum[:]
	}
	if hex.EncodeToString(prev) != wantClean(t, index, 2).Head.Hash {
		t.Error("the head is not the last hash")
	}
}

// Secrets in logs were the fault of others: whatever text they come in, they do
// not stay (policy.md section 12, row 18).
func TestThreat18NoSecretsInAudit(t *testing.T) {
	secret, err := token.New(token.Robot)
	must(t, err)
	body := strings.TrimPrefix(secret.Reveal(), "ldrr_")
	for _, text := range []string{
		secret.Reveal(), "x" + secret.Reveal() + "/y", strings.Repeat("a", 100) + secret.Reveal(), "\x00" + secret.Reveal() + "\x00",
		strings.Repeat("a", 120) + secret.Reveal(), "https://user:" + body + "@upstream.example/x", "a https://" + body + "@[::1]:80 b",
		fmt.Sprint(secret), fmt.Sprintf("%+v %#v %x", secret, &secret, secret),
	} {
		s, err := seal(everywhere(text))
		must(t, err)
		for n := len(body); n >= 6; n-- {
			if strings.Contains(string(s.json), body[:n]) {
				t.Errorf("%q leaves %q in %s", text, body[:n], s.json)
				break
			}
		}
	}
}

func TestClean(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"plain text, 中文", "plain text, 中文"},
		{"a\r\nb\tc\x00d\x1b[31m\x7f", "a��b�c�d�[31m�"},
		{"bidi \u202e and \u2066, \u0085, \u2028, \ufeff", "bidi � and �, �, �, �"},
		{"\xff\xfe\xc3(", "���("},
		{"http://a:b@h.example/p?q=@z", "http://redacted@h.example/p?q=@z"},
		{"ftp://a@b@c, and u@example.com", "ftp://redacted@c, and u@example.com"},
		{"://", "://"},
		{"see ldrp_abcDEF012", "see ldrp_redacted"},
		{strings.Repeat("a", 40), strings.Repeat("a", 40)},
		{strings.Repeat("a", 41), strings.Repeat("a", 37) + "…"},
		{strings.Repeat("a", 36) + "é" + strings.Repeat("a", 9), strings.Repeat("a", 36) + "…"},
	} {
		if got := clean(c.in, 40); got != c.want {
			t.Errorf("clean(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestRecordsStaySmall(t *testing.T) {
	for _, text := range []string{"", "a", strings.Repeat(`"`, 5000), strings.Repeat("中", 5000), strings.Repeat("a\n", 5000), strings.Repeat("\u2028", 999)} {
		r := everywhere(text)
		if text == "" {
			r.Action = "a"
		}
		s, err := seal(r)
		must(t, err)
		value, _ := s.row(1<<64-1, hash{})
		if len(value) > maxRow {
			t.Errorf("a record of %.4q takes %d bytes", text, len(value))
		}
		got, err := decode(1<<64-1, value)
		must(t, err)
		if len(got.Before) > maxFields || len(got.Resource.File) > 512 || !utf8.Valid(value[before:]) || got.Status != 403 {
			t.Errorf("a record of %.4q reads as %+v", text, got)
		}
	}
	// Where there is room, each text has the length that is documented.
	r := Record{Action: "a", Decision: Deny, Resource: Resource{File: strings.Repeat("f", 600)}, UserAgent: strings.Repeat("u", 300)}
	got := r.bounded(maxText)
	if len(got.Resource.File) != 512 || len(got.UserAgent) != 256 {
		t.Errorf("lengths %d and %d", len(got.Resource.File), len(got.UserAgent))
	}
}

func TestRecordNeedsActionAndDecision(t *testing.T) {
	for _, r := range []Record{{}, {Action: "a"}, {Decision: Allow}, {Action: "a", Decision: "maybe"}} {
		if _, err := seal(r); err == nil {
			t.Errorf("%+v was taken", r)
		}
	}
}

// FuzzRecord: whatever a record is made from, its row is small, clean and reads
// back as what was written.
func FuzzRecord(f *testing.F) {
	f.Add("publish", "ldrp_abc\r\n", "https://u:p@h/", "role", "write", 403)
	f.Add("", "\xff", strings.Repeat("\"", 600), "", "\u202e", -1)
	f.Fuzz(func(t *testing.T, action, text, sentence, field, value string, status int) {
		r := everywhere(text)
		r.Action, r.Reason.Sentence, r.Status = "x"+action, sentence, status
		r.After = State{field: value}
		first, err := seal(r)
		must(t, err)
		row, _ := first.row(3, hash{1})
		back, err := decode(3, row)
		must(t, err)
		again, err := seal(back)
		must(t, err)
		if !bytes.Equal(first.json, again.json) {
			t.Fatalf("written\n%s\nread\n%s", first.json, again.json)
		}
		if len(row) > maxRow || strings.ContainsFunc(string(first.json), unicode.IsControl) || !utf8.Valid(first.json) {
			t.Fatalf("%d bytes: %q", len(row), first.json)
		}
	})
}

// FuzzDecode: damaged rows are errors, never a panic or a record that its hash
// does not fit.
func FuzzDecode(f *testing.F) {
	s, err := seal(everywhere("a"))
	if err != nil {
		f.Fatal(err)
	}
	row, _ := s.row(1, hash{})
	f.Add(row)
	f.Add([]byte{rowVersion})
	f.Add(append(make([]byte, before), `{"seq":1}`...))
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := decode(1, value)
		if err == nil && (r.Seq != 1 || !json.Valid(value[before:]) || sum(hash(value[1:33]), value[before:]) != hash(value[33:before])) {
			t.Fatalf("%q is taken for %+v", value, r)
		}
		if _, err := ParseHead(string(value)); err == nil && len(value) < 66 {
			t.Fatalf("%q is taken for a head", value)
		}
	})
}
