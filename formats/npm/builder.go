package npm

import "strconv"

// builder appends JSON, keeping track of commas.
type builder struct {
	out   []byte
	comma bool
}

// separate puts the comma that the next value or name needs.
func (b *builder) separate() {
	if b.comma {
		b.out = append(b.out, ',')
	}
	b.comma = true
}

// key begins a member of the open object; its value must follow.
func (b *builder) key(name string) {
	b.separate()
	b.out = append(appendQuoted(b.out, name), ':')
	b.comma = false
}

func (b *builder) open() {
	b.separate()
	b.out = append(b.out, '{')
	b.comma = false
}

func (b *builder) close() {
	b.out = append(b.out, '}')
	b.comma = true
}

func (b *builder) openArray() {
	b.separate()
	b.out = append(b.out, '[')
	b.comma = false
}

func (b *builder) closeArray() {
	b.out = append(b.out, ']')
	b.comma = true
}

// value adds what is JSON already.
func (b *builder) value(raw []byte) {
	b.separate()
	b.out = append(b.out, raw...)
}

func (b *builder) string(s string) {
	b.separate()
	b.out = appendQuoted(b.out, s)
}

// member copies a member as it was written.
func (b *builder) member(m member) {
	b.memberKey(m)
	b.value(m.value)
}

// memberKey copies the name of a member whose value will be another one.
func (b *builder) memberKey(m member) {
	b.separate()
	b.out = append(append(b.out, m.key...), ':')
	b.comma = false
}

func (b *builder) text(name, value string) {
	b.key(name)
	b.string(value)
}

func (b *builder) int(name string, value int64) {
	b.key(name)
	b.separate()
	b.out = strconv.AppendInt(b.out, value, 10)
}

func (b *builder) bool(name string, value bool) {
	b.key(name)
	b.separate()
	b.out = strconv.AppendBool(b.out, value)
}
