// Package refs keeps, in the Index, who uses which blob: what decides whether
// bytes may be evicted, must stay, or may be deleted.
//
// Rows (D is the 32 raw digest bytes, numbers are big-endian, times are in
// nanoseconds since the epoch; every value begins with a version byte):
//
//	b D                 blob: kinds of its edges, size, CRC32C, created, further checksums
//	x D kind hash       edge: when it expires, and the key of the record that uses D
//	                    (hash: 16 bytes of the SHA-256 of that key)
//	a D                 access: queue and hour
//	e queue hour D      eviction order; agrees with a, else it is stale
//	g d D               deletion intent: when the bytes may go, and their size
//	g t due D           the same by time
//	g t due D kind hash an edge that expires, by time
//	m usage             bytes and blobs per class
//
// Prefixes of other packages: f file records, d documents, p hosted packages,
// o users, t tokens, w waivers, l the audit log, u upload sessions, further names
// under m.
//
// A blob is cached while all its edges are Cached or Inline: it counts against the
// budget, has a and e rows, and may be evicted. With any other edge it is kept:
// it does not count, is in no queue, and only Unlink can end it. There are no
// reference counts, because they drift after crashes and make hot rows.
//
// An Upload, a Pin and a Lease end at a time. The first two hold bytes; a Lease
// holds a record with its bytes, such as a file that was pushed and that no
// release names yet: whoever makes it permanent links it as Hosted and unlinks
// the Lease in one transaction, else both go when the time has come.
//
// All functions run within a transaction of the caller, so that an edge comes
// and goes together with its record. Whoever points a record at another blob
// unlinks the old one in the same transaction: evicting a blob deletes the
// records of its cached edges unread, and so does the end of a Lease.
package refs
