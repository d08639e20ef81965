// Package seed fills a data folder with what a server would have stored of many
// cached files, and measures what it then costs to read and write there.
// Filling it through the server would take hours where this takes minutes.
//
// No layout is known here: the records of the engine are learned from a file
// that a real server has cached (Learn); those that say who uses which blob are
// written by cache/refs, and the blobs by cache/disk, as the server writes them.
// The server must not run meanwhile.
package seed
