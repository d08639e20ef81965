// Package rulebook keeps the supply-chain rules that are in force: those of the
// configuration, with its waivers and those that administrators give while the
// server runs, as rows of the Index.
//
// Rows:
//
//	w id    a waiver given at run time: version byte 1, JSON
//
// A waiver ends by itself at its time; Run drops its row then. One whose rule is
// no longer in the configuration stays, without effect, until it ends or the
// rule comes back. All of them are held in memory, which MaxWaivers bounds.
package rulebook

import (
	"time"

	"larder/policy/rules"
)

// Limits of waivers that are given at run time.
const (
	MaxWaivers  = rules.MaxGiven       // at once
	MaxPatterns = 100                  // of one
	MaxAhead    = 366 * 24 * time.Hour // from the moment it is given to its end
)
