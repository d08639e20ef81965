package cache

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
)

// stateVersion begins every state of a Hasher.
const stateVersion = 1

var errState = errors.New("not a state of these bytes")

// State returns what ResumeHasher goes on from: less than 1 KiB, readable by
// later versions of this program. name says whose bytes were written: nothing
// else resumes from the state, and nothing resumes from one that was changed,
// since a wrong one would give wrong bytes a digest.
func (h *Hasher) State(name string) ([]byte, error) {
	state := binary.BigEndian.AppendUint64([]byte{stateVersion, byte(len(h.also))}, uint64(h.size))
	for _, a := range h.also {
		state = appendShort(state, []byte(a))
	}
	for _, running := range h.running() {
		m, ok := running.(encoding.BinaryMarshaler)
		if !ok {
			return nil, fmt.Errorf("a hash of %d bytes has no state", running.Size())
		}
		b, err := m.MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("state of a hash of %d bytes: %w", running.Size(), err)
		}
		state = appendShort(state, b)
	}
	return append(state, stateSeal(name, state)...), nil
}

// ResumeHasher goes on where State was asked for by the same name. Any other
// state is an error.
func ResumeHasher(name string, state []byte) (*Hasher, error) {
	h, err := resumeHasher(name, state)
	if err != nil {
		return nil, fmt.Errorf("resume the checksums of %q: %w", name, err)
	}
	return h, nil
}

func resumeHasher(name string, state []byte) (*Hasher, error) {
	const head = 1 + 1 + 8
	end := len(state) - sha256.Size
	if end < head || string(stateSeal(name, state[:end])) != string(state[end:]) {
		return nil, errState
	}
	if state[0] != stateVersion {
		return nil, fmt.Errorf("its version is %d: %w", state[0], errState)
	}
	also := make([]Algorithm, state[1])
	size := int64(binary.BigEndian.Uint64(state[2:]))
	rest := state[head:end]
	for i := range also {
		also[i] = Algorithm(cutShort(&rest))
	}
	h, err := NewHasher(also...)
	if err != nil {
		return nil, err
	}
	if size < 0 || len(h.also) != len(also) {
		return nil, errState
	}
	h.size = size
	for _, running := range h.running() {
		u, ok := running.(encoding.BinaryUnmarshaler)
		if !ok {
			return nil, errState
		}
		if err := u.UnmarshalBinary(cutShort(&rest)); err != nil {
			return nil, err
		}
	}
	if len(rest) > 0 {
		return nil, errState
	}
	return h, nil
}

// running are the hashes in the order of a state.
func (h *Hasher) running() []hash.Hash { return append([]hash.Hash{h.digest, h.crc}, h.extra...) }

// stateSeal binds a state to its name.
func stateSeal(name string, state []byte) []byte {
	s := sha256.New()
	fmt.Fprintf(s, "%d %s", len(name), name) // a hash takes all
	s.Write(state)
	return s.Sum(nil)
}

// appendShort appends at most 255 bytes with their length before them.
func appendShort(to, b []byte) []byte { return append(append(to, byte(len(b))), b...) }

// cutShort takes what appendShort wrote from the front, or nothing of what it
// cannot have written.
func cutShort(b *[]byte) []byte {
	if len(*b) == 0 || len(*b) < 1+int((*b)[0]) {
		return nil
	}
	n := 1 + int((*b)[0])
	cut := (*b)[1:n]
	*b = (*b)[n:]
	return cut
}
