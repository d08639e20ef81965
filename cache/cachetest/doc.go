// Package cachetest holds the contracts of cache.Store and cache.Index as test
// suites. A backend's own test hands its constructor to Store (and StoreRoom,
// where it can be limited) or to Index (and IndexReopen, where it outlives the
// process); what passes may stand in for any other, as cache/memory does in
// the tests above.
package cachetest
