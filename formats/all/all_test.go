package all

import (
	"slices"
	"strings"
	"testing"

	"larder/formats"
	"larder/formats/formattest"
)

// named is Plain under another name.
type named struct {
	formattest.Plain
	name string
}

func (n named) Name() string { return n.name }

func TestList(t *testing.T) {
	l, err := New(named{name: "zeta"}, named{name: "alpha"}, formattest.Plain{})
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Names(); !slices.Equal(got, []string{"alpha", "plain", "zeta"}) {
		t.Errorf("names: %q", got)
	}
	if f, err := l.Find("zeta"); err != nil || f.Name() != "zeta" {
		t.Errorf("Find(zeta) = %v, %v", f, err)
	}
	if _, err := l.Find("nosuch"); err == nil || !strings.Contains(err.Error(), "alpha, plain, zeta") {
		t.Errorf("the error must name the formats: %v", err)
	}
}

func TestListRefuses(t *testing.T) {
	for want, list := range map[string][]formats.Format{
		"twice":      {named{name: "a"}, named{name: "a"}},
		"lower-case": {named{name: "A"}},
		`""`:         {named{name: ""}},
	} {
		if _, err := New(list...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one about %s", err, want)
		}
	}
}
