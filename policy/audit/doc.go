// Package audit keeps who changed what, and whom policy refused: a log of
// records as rows of the Index, each of which holds the hash of the one before.
//
// A change is recorded in its own transaction (Chain.Append), so that there is
// never the one without the other. Functions of Index.Update run one after the
// other, therefore nothing is written between the reading of the head and the
// writing of the next record. A refusal belongs to no transaction; Log.Refused
// gathers refusals into few.
//
// Rows (numbers are big-endian, H is a SHA-256, 32 bytes):
//
//	l h              head: version, seq(8) and H of the last record
//	l r seq(8)       record: version, H of the one before, H, canonical JSON
//	l i decision     seq(8) of the record that explains a refusal
//
// H is the SHA-256 of the H before and the canonical JSON: the fields of Record
// in their order up to After, without blanks; those that are empty are left out.
// The line of an exported record is that JSON with prev_hash and hash added at
// its end, so that it can be verified without this program. A new field needs a
// new version of the row.
//
// The chain shows an edit, a gap, another order and, by the head, a missing
// end. Whoever can write the Index can also write a whole new log; a Head that
// was noted elsewhere shows that too.
package audit
