// Package disk keeps blobs as files in one folder (cache.Store) and watches
// over the room left on its volume (Room).
//
// Layout, version 1:
//
//	ROOT/blobs/ab/abcdef…  one file per blob, named by its 64 hex digits, 0444
//	ROOT/tmp/              unfinished writes; emptied at start
//	ROOT/tmp/u-ID          sessions: these stay until they are dropped
//	ROOT/quarantine/       blobs whose bytes went bad: kept, never served
//	ROOT/ballast           room in reserve, given up to start on a full volume
//	ROOT/LOCK              flock held for life, with the pid of its holder
//	ROOT/VERSION           the version of this layout
//
// A blob is written to tmp, verified, synced, renamed and its folder synced,
// in that order: a digest path holds exactly the bytes of that digest, or
// nothing, whenever the power goes. Followers of an unfinished write open its
// file themselves, so that a slow reader slows nobody.
//
// A session is synced before its state is given out, so that the running
// checksums of the state never vouch for bytes that a power cut took, and cut
// to the length of its state before it is written on.
package disk
