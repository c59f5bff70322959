package store

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/finding"
)

// Search is what a finding is found by beside its columns: kept in narrow
// tables, never read back.
type Search struct {
	// Text is the title, a line break and the description, in lower case.
	Text string
	// Resources are the ids of all resources.
	Resources []string
}

// maxSearchText holds the longest title and description: 256 and 1,024
// characters of four bytes, and the line break.
const maxSearchText = 4*(256+1024) + 1

// SearchOf gives what f is found by.
func SearchOf(f finding.Finding) Search {
	s := Search{Text: strings.ToLower(f.Title() + "\n" + f.String("Description"))}
	f.Values([]string{"Resources", "Id"}, func(v any) bool {
		if id, ok := v.(string); ok {
			s.Resources = append(s.Resources, id)
		}
		return true
	})
	return s
}

// Describe fills the columns of f from doc, which has been through
// finding.Create, and makes it f's final document.
//
// Invariant: filters are compiled to these columns (narrow), so a column says
// what the document says.
func (f *FindingRecord) Describe(doc finding.Finding) {
	f.ID = doc.ID()
	f.Account, f.Region, f.Control = doc.Account(), doc.Region(), doc.Control()
	f.Generator, f.Product = doc.String("GeneratorId"), doc.String("ProductName")
	f.SeverityLabel, f.SeverityNormalized = string(doc.SeverityLabel()), doc.SeverityNormalized()
	f.Workflow, f.RecordState, f.Compliance = string(doc.Workflow()), string(doc.Record()), string(doc.Compliance())
	f.ResourceID, f.ResourceType = doc.FirstResource()
	f.Title, f.CreatedAt, f.UpdatedAt = doc.Title(), instant(doc, "CreatedAt"), instant(doc, "UpdatedAt")
	f.Evidence, f.Types = doc.Evidence(), typesOf(doc)
	f.Doc = doc.JSON()
}

// instant gives a time of f that is zero only where f has none: the store keeps
// the zero time as 1970, and the document may really mean the year 1.
func instant(f finding.Finding, name string) time.Time {
	t := f.Time(name)
	if t.IsZero() && f.Has(name) {
		return t.Add(time.Nanosecond)
	}
	return t
}

// search gives what w is found by, from the document where its maker left it out.
func (w FindingWrite) search() (Search, error) {
	if w.Search != nil {
		return *w.Search, nil
	}
	f, err := finding.Reopen(w.Record.Doc)
	if err != nil {
		return Search{}, err
	}
	return SearchOf(f), nil
}

// further gives the resources behind the first as they are stored, each once.
func (s Search) further() []string {
	if len(s.Resources) < 2 {
		return nil
	}
	out := make([]string, 0, len(s.Resources)-1)
	for _, id := range s.Resources[1:] {
		out = append(out, text(id, wideColumn))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// searchRows gathers the rows of the search tables of one finding.
type searchRows struct {
	texts, stale, resources [][]any
}

func (b *searchRows) add(account string, rid int64, s Search, hadMore bool) {
	b.texts = append(b.texts, []any{rid, text(s.Text, maxSearchText)})
	if hadMore {
		b.stale = append(b.stale, []any{rid})
	}
	for _, id := range s.further() {
		b.resources = append(b.resources, []any{account, rid, id})
	}
}

// unsearchedChunk is how many findings one transaction enters in the search tables.
const unsearchedChunk = 2000

// enterUnsearched enters findings of an earlier schema in the search tables. It
// goes on where it stopped; two nodes may do it at the same time.
func (s *Store) enterUnsearched(ctx context.Context) error {
	for {
		left := int64(0)
		err := s.write(ctx, Findings, "make findings searchable", func(t *tx) error {
			var err error
			if left, err = one(ctx, t, s.q.UnsearchedRead, nil, scanInt); err != nil || left == 0 {
				return err
			}
			next, err := t.enterUnsearched(ctx, left)
			if err != nil {
				return err
			}
			_, err = t.changed(ctx, s.q.UnsearchedSet, left, next)
			left = next
			return err
		})
		if err != nil || left == 0 {
			return err
		}
	}
}

// enterUnsearched enters a chunk of findings up to row number last and gives up
// to where the rest goes.
func (t *tx) enterUnsearched(ctx context.Context, last int64) (int64, error) {
	var b searchRows
	var counts [][]any
	next, n := last, 0
	_, err := collect(ctx, t, t.s.q.UnsearchedPage, []any{last, int64(unsearchedChunk)}, func(r scanner) (struct{}, error) {
		var rid int64
		var account string
		var frame []byte
		if err := r.Scan(&rid, &account, &frame); err != nil {
			return struct{}{}, err
		}
		next, n = rid-1, n+1
		var doc json.RawMessage
		doc, _, err := t.s.unpackPair(frame)
		if err != nil {
			return struct{}{}, err
		}
		f, err := finding.Reopen(doc)
		if err != nil {
			return struct{}{}, err
		}
		found := SearchOf(f)
		b.add(account, rid, found, true)
		counts = append(counts, []any{account, rid, int64(len(found.Resources)), typesColumn(typesOf(f))})
		return struct{}{}, nil
	})
	if err != nil {
		return 0, err
	}
	if n < unsearchedChunk {
		next = 0
	}
	if err := b.run(ctx, t); err != nil {
		return 0, err
	}
	_, err = t.bulk(ctx, t.s.q.ResourceCount, counts)
	return next, err
}

func (b *searchRows) run(ctx context.Context, t *tx) error {
	for _, step := range []struct {
		query string
		rows  [][]any
	}{{t.s.q.TextPut, b.texts}, {t.s.q.ResourceDelete, b.stale}, {t.s.q.ResourceAppend, b.resources}} {
		if _, err := t.bulk(ctx, step.query, step.rows); err != nil {
			return err
		}
	}
	return nil
}
