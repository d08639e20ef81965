package rulebook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"larder/cache"
	"larder/policy/rules"
)

const rowVersion = 1

// given is a waiver that was given at run time.
type given struct {
	rules.Waiver
	Since time.Time `json:"since"`
}

func givenKey(id string) []byte { return []byte("w" + id) }

func (g given) encode() ([]byte, error) {
	text, err := json.Marshal(g)
	if err != nil {
		return nil, fmt.Errorf("encode waiver: %w", err)
	}
	return append([]byte{rowVersion}, text...), nil
}

func decodeGiven(row cache.Row) (g given, err error) {
	text, ok := bytes.CutPrefix(row.Value, []byte{rowVersion})
	if !ok {
		return g, errors.New("row of an unknown version")
	}
	if err := json.Unmarshal(text, &g); err != nil {
		return g, fmt.Errorf("decode row: %w", err)
	}
	return g, nil
}

// readGiven returns all rows in the order of their ids. There are few enough
// for one transaction.
func readGiven(ctx context.Context, index cache.Index) (list []given, err error) {
	err = index.View(ctx, func(r cache.Reader) error {
		list = nil
		for row, err := range r.Scan(givenKey(""), nil) {
			if err != nil {
				return err
			}
			g, err := decodeGiven(row)
			if err != nil {
				return fmt.Errorf("waiver %.40q: %w", row.Key[1:], err)
			}
			list = append(list, g)
		}
		return nil
	})
	return list, err
}
