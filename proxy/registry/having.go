package registry

import (
	"context"
	"fmt"
	"iter"

	"larder/cache"
	"larder/formats"
)

// havingPage is how many versions one transaction of Having reads: each may bring
// a long record.
const havingPage = 100

func (b *bound) Having(ctx context.Context, pkg, term, after string) iter.Seq2[*formats.Release, error] {
	return pages(after, func(after string) ([]*formats.Release, string, error) {
		if err := b.readable(ctx, pkg); err != nil {
			return nil, "", err
		}
		page, err := b.havingPage(ctx, pkg, term, after)
		if err != nil {
			return nil, "", fmt.Errorf("versions of %s by a term: %w", pkg, err)
		}
		if len(page) < havingPage {
			return page, "", nil
		}
		return page, page[len(page)-1].Version, nil
	})
}

func (b *bound) havingPage(ctx context.Context, pkg, term, after string) ([]*formats.Release, error) {
	format := b.spec.Format.Name()
	prefix, err := partKey(format, pkg, partTerm, term, "")
	if err != nil {
		return nil, err
	}
	var from []byte
	if after != "" {
		from = append(append(from, prefix...), after...)
	}
	var page []*formats.Release
	err = b.engine.opt.Index.View(ctx, func(r cache.Reader) error {
		page = page[:0]
		for row, err := range r.Scan(prefix, from) {
			if err != nil {
				return err
			}
			seq, err := readSeq(r, format, pkg, string(row.Key[len(prefix):]))
			if err != nil {
				return err
			}
			rel, err := readRelease(r, format, pkg, seq)
			if err != nil {
				return err
			}
			if page = append(page, rel); len(page) == havingPage {
				return nil
			}
		}
		return nil
	})
	return page, err
}
