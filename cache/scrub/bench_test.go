package scrub

import (
	"encoding/binary"
	"testing"

	"larder/cache/refs"
)

// BenchmarkCheck hashes 64 blobs of 1 MiB as fast as it can.
func BenchmarkCheck(b *testing.B) {
	const n, size = 64, 1 << 20
	x := newBench(b)
	for i := range n {
		x.put(string(rune('A'+i)), refs.Cached, binary.BigEndian.AppendUint64(make([]byte, size-8), uint64(i)))
	}
	b.SetBytes(n * size)
	for b.Loop() {
		r, err := x.s.Check(b.Context(), false, nil)
		if err != nil || r.Blobs != n || r.Bytes != n*size || r.Hosted+r.Cached+r.Rows != 0 {
			b.Fatalf("%+v, %v", r, err)
		}
	}
}
