package npm

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func FuzzScan(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":1,"b":[1,{"c":"}"}],"d":"\\\""}`, ` { "a" : -1.5e3 , "b" : null } `, `[1,"a",[2],{}]`, `{"a":`, `{"\u0061":true}`, `"x`, `{"a" "b"}`, `[,]`, `{"a":1:2}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		n := 0
		for range elements(raw) {
			n++
		}
		values := map[string]string{}
		for m := range members(raw) {
			values[string(m.name)] = string(m.value)
		}
		depth(raw)
		v := jsontext.Value(bytes.TrimSpace(raw))
		if !v.IsValid() {
			return
		}
		switch v.Kind() {
		case '{':
			var want map[string]json.RawMessage
			if err := json.Unmarshal(v, &want); err != nil {
				return // nested beyond what the reference reads
			}
			if len(want) != len(values) {
				t.Fatalf("%d members, want %d", len(values), len(want))
			}
			for name, value := range want {
				if values[name] != string(value) {
					t.Errorf("%q = %q, want %q", name, values[name], value)
				}
			}
		case '[':
			var want []json.RawMessage
			if err := json.Unmarshal(v, &want); err == nil && len(want) != n {
				t.Errorf("%d elements, want %d", n, len(want))
			}
		}
	})
}

func TestDepth(t *testing.T) {
	for raw, want := range map[string]int{`1`: 0, `"[["`: 0, `{}`: 1, `{"a":[{"b":1}],"c":[]}`: 3, `"\"[" `: 0} {
		if got := depth([]byte(raw)); got != want {
			t.Errorf("depth(%s) = %d, want %d", raw, got, want)
		}
	}
}
