package badger

import (
	"fmt"
	"strings"

	db "github.com/dgraph-io/badger/v4"
	dbopt "github.com/dgraph-io/badger/v4/options"
)

// Options of Open. The zero value fits a node with up to some ten million
// records in little memory.
type Options struct {
	// Critical reports that the volume has so little room that nothing more may
	// be written; Update then returns cache.ErrFull. Called for every Update,
	// from any goroutine, so it must be quick. nil: never.
	Critical func() bool
	// Log receives what the database says of itself; level is "error",
	// "warning" or "info". nil: dropped.
	Log func(level, message string)
	// Large trades memory (up to some 500 MiB) for speed beyond ten million records.
	Large bool
}

// Sizes of the database in bytes.
const (
	smallMemTable   = 16 << 20
	largeMemTable   = 64 << 20
	smallIndexCache = 64 << 20
	largeIndexCache = 256 << 20
	valueThreshold  = 64 << 10 // above cache.MaxValue: the value log stays empty
	valueLogFile    = 64 << 20
)

// database returns the settings of Badger. Checksums are verified per block
// and not per table, because the latter reads every table at open.
func (o Options) database(dir string) db.Options {
	memTable, indexCache := int64(smallMemTable), int64(smallIndexCache)
	if o.Large {
		memTable, indexCache = largeMemTable, largeIndexCache
	}
	return db.DefaultOptions(dir).
		WithSyncWrites(true).
		WithDetectConflicts(false).
		WithNumVersionsToKeep(1).
		WithMemTableSize(memTable).
		WithNumMemtables(3).
		WithNumLevelZeroTables(5).
		WithNumLevelZeroTablesStall(15).
		WithNumCompactors(2).
		WithCompactL0OnClose(false).
		WithCompression(dbopt.None).
		WithBlockCacheSize(0).
		WithIndexCacheSize(indexCache).
		WithValueThreshold(valueThreshold).
		WithValueLogFileSize(valueLogFile).
		WithChecksumVerificationMode(dbopt.OnBlockRead).
		WithMetricsEnabled(false).
		WithLogger(logger{o.Log})
}

// logger hands the lines of the database to the caller's hook.
type logger struct{ log func(level, message string) }

func (l logger) say(level, format string, args []any) {
	if l.log != nil {
		l.log(level, strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}

func (l logger) Errorf(format string, args ...any)   { l.say("error", format, args) }
func (l logger) Warningf(format string, args ...any) { l.say("warning", format, args) }
func (l logger) Infof(format string, args ...any)    { l.say("info", format, args) }
func (l logger) Debugf(string, ...any)               {}
