// Package images pushes and pulls images as container clients do, for
// measurements that want the same of every registry.
package images

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
)

// block is the length of the noise that layers repeat, in bytes.
const block = 1 << 20

// Noise makes layers of bytes that do not compress. It may be used concurrently.
type Noise struct{ block []byte }

// NewNoise returns a Noise.
func NewNoise() *Noise {
	n := &Noise{make([]byte, block)}
	source := rand.New(rand.NewPCG(block, 1))
	for i := 0; i < block; i += 8 {
		binary.LittleEndian.PutUint64(n.block[i:], source.Uint64())
	}
	return n
}

// Blob is a layer or a config whose bytes can be read any number of times.
type Blob struct {
	Digest string
	Size   int64
	Open   func() io.Reader
}

// Layer returns the layer of a number, unlike those of all other numbers, size
// bytes long. It reads the bytes once, for the digest.
func (n *Noise) Layer(number uint64, size int64) Blob {
	stamp := binary.BigEndian.AppendUint64(nil, number)
	open := func() io.Reader {
		return io.LimitReader(io.MultiReader(bytes.NewReader(stamp), &stream{block: n.block}), size)
	}
	return Blob{digestOf(open()), size, open}
}

func digestOf(src io.Reader) string {
	sum := sha256.New()
	// Neither a stream nor a hash fails.
	_, _ = io.CopyBuffer(sum, src, make([]byte, 256<<10))
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

// stream repeats a block without end.
type stream struct {
	block []byte
	at    int
}

func (s *stream) Read(p []byte) (int, error) {
	n := copy(p, s.block[s.at:])
	s.at = (s.at + n) % len(s.block)
	return n, nil
}

// Image is a config and its layers.
type Image struct {
	Config Blob
	Layers []Blob
}

// Image returns an image of so many layers of size bytes; images of other
// numbers share nothing with it.
func (n *Noise) Image(number, layers int, size int64) Image {
	var im Image
	for i := range layers {
		im.Layers = append(im.Layers, n.Layer(uint64(number)<<32|uint64(i), size))
	}
	im.Config = text(fmt.Sprintf(`{"os":"linux","architecture":"amd64","number":%d,"rootfs":{"type":"layers","diff_ids":[]}}`, number))
	return im
}

// Size is that of all layers, in bytes.
func (im Image) Size() int64 {
	var all int64
	for _, l := range im.Layers {
		all += l.Size
	}
	return all
}
