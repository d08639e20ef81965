// Package memory keeps blobs and records in maps. It is the fake of all tests
// above the cache: it passes the same suites (cache/cachetest) as the backends
// that last, and it forgets everything with the process.
package memory
