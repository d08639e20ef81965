package main

import (
	"github.com/rs/zerolog"

	"larder/cache/disk"
)

// tellRoom says what the free space on the data volume means for clients, and
// what an operator can do.
func (n *node) tellRoom(s disk.State) {
	level, text := zerolog.WarnLevel, "the data volume has room again, and everything is stored"
	switch s {
	case disk.Normal:
		level = zerolog.InfoLevel
	case disk.Tight:
		text = "the data volume gets full, and cached files are evicted"
	case disk.Full:
		text = "the data volume is full: downloads pass through without being stored, and publishes are refused; make room on it, or lower cache.max_size"
	case disk.Critical:
		level = zerolog.ErrorLevel
		text = "the data volume is so full that nothing at all is written any more, and what is stored is served on; make room on it"
	}
	n.log.WithLevel(level).Str("room", s.String()).Str("data", n.cfg.Data).Msg(text)
}
