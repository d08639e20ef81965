package audit

import (
	"testing"

	"larder/cache/memory"
)

func TestNotedKeepsTheDecisionAndWaitsForNobody(t *testing.T) {
	index := memory.NewIndex()
	log := NewLog(index, Chain{}) // nobody writes
	r := Record{Actor: Actor{Kind: System}, Action: "integrity.violation", Decision: Deny}
	if err := log.Noted(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := log.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for got, err := range Export(t.Context(), index, 0, Filter{}) {
		if err != nil || got.Decision != Deny || got.Actor.Kind != System {
			t.Errorf("%+v, %v", got, err)
		}
		return
	}
	t.Error("no record")
}
