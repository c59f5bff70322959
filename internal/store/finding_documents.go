package store

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Release gives the memory of the documents back, for the next page: no document of the
// page, nor what points into one, may be used after it. Pages that are not released go
// the way of other memory. It may be called twice.
func (p FindingPage) Release() {
	if p.room != nil {
		p.room.release()
	}
}

// The memory that pages share. A page of 50 documents of 4 KB fills two blocks; what
// does not fit into a page's blocks is allocated alone.
const (
	blockSize = 256 << 10
	maxBlocks = 8
)

// room is where the documents of one page are. It is safe for concurrent use.
type room struct {
	docs   *documents
	mu     sync.Mutex
	blocks []*[]byte
}

// take gives n bytes of room, of length 0. Without a room they are allocated.
func (r *room) take(n int) []byte {
	if r == nil || n > blockSize {
		return make([]byte, 0, n)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := len(r.blocks); k > 0 {
		if b := r.blocks[k-1]; cap(*b)-len(*b) >= n {
			return part(b, n)
		}
	}
	if len(r.blocks) == maxBlocks {
		return make([]byte, 0, n)
	}
	b, ok := r.docs.blocks.Get().(*[]byte)
	if !ok {
		fresh := make([]byte, 0, blockSize)
		b = &fresh
	}
	r.blocks = append(r.blocks, b)
	return part(b, n)
}

// part cuts n bytes off block, which has them.
func part(block *[]byte, n int) []byte {
	from := len(*block)
	*block = (*block)[:from+n]
	return (*block)[from : from : from+n]
}

func (r *room) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.blocks {
		*b = (*b)[:0]
		r.docs.blocks.Put(b)
	}
	r.blocks = nil
}

// unpackSlack is what the decoder wants to have behind a document.
const unpackSlack = 64

// unpackPairIn is unpackPair with the documents in room, which may be nil.
func (d *documents) unpackPairIn(frame []byte, in *room) (final, original []byte, err error) {
	var h zstd.Header
	if in == nil || h.Decode(frame) != nil || !h.HasFCS || h.FrameContentSize > blockSize-unpackSlack {
		return d.unpackPair(frame)
	}
	both, err := d.dec.DecodeAll(frame, in.take(int(h.FrameContentSize)+unpackSlack)) //nolint:gosec // bounded above
	if err != nil {
		return nil, nil, err
	}
	return splitPair(both)
}

// unpackFrom is how many documents are worth a goroutine.
const unpackFrom = 16

// unpackAll unpacks the frames of records on all processors. A record without a frame
// keeps what it has.
func (s *Store) unpackAll(records []FindingRecord, frames [][]byte, in *room) error {
	size := max(unpackFrom, (len(records)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	errs := make([]error, (len(records)+size-1)/size)
	var wg sync.WaitGroup
	for k := range errs {
		part := func() {
			for i := k * size; i < min((k+1)*size, len(records)) && errs[k] == nil; i++ {
				if frames[i] == nil {
					continue
				}
				doc, original, err := s.docs.unpackPairIn(frames[i], in)
				if len(original) == 0 {
					original = nil
				}
				records[i].Doc, records[i].Original, errs[k] = doc, original, err
			}
		}
		if k == len(errs)-1 {
			part() // the last part, or the only one, needs no goroutine
			break
		}
		wg.Go(part)
	}
	wg.Wait()
	return errors.Join(errs...)
}

// documentsOf reads the documents of the rows that b selects, with the columns that they
// are sorted by. Rows are chosen before their documents are joined, so that sorting them
// never drags documents along.
//
// Where the planner guesses, the documents are read by a statement of their own: it plans
// anew for each page, and must not think of reading all documents for a guess.
func (s *Store) documentsOf(ctx context.Context, r querier, b *builder, by order, n int, in *room) ([]FindingRecord, error) {
	inner, outer, sorted := make([]string, len(by)), make([]string, len(by)), make([]string, len(by))
	for i, c := range by { // the names come from an allow-list
		inner[i], outer[i] = c.name+" AS s"+strconv.Itoa(i), "p.s"+strconv.Itoa(i)
		if sorted[i] = outer[i]; c.desc {
			sorted[i] += " DESC"
		}
	}
	rows := "SELECT f.account, f.rid, " + strings.Join(inner, ", ") + " FROM finding f" + b.sql() + " ORDER BY " + by.String() + " LIMIT " + b.arg(int64(n))
	if s.dialect.Guesses {
		return s.documentsAfter(ctx, r, rows, b.args, len(by), in)
	}
	// SQLite keeps the order of a CROSS JOIN: the rows first.
	query := "SELECT " + strings.Join(outer, ", ") + ", d.docs FROM (" + rows + ") p CROSS JOIN finding_doc d ON d.rid = p.rid ORDER BY " + strings.Join(sorted, ", ")
	frames := make([][]byte, 0, n)
	records, err := collect(ctx, r, query, b.args, func(r scanner) (FindingRecord, error) {
		f := FindingRecord{sorted: make([]any, len(by))}
		var frame sql.RawBytes
		dest := make([]any, 0, len(by)+1)
		for i := range f.sorted {
			dest = append(dest, &f.sorted[i])
		}
		err := r.Scan(append(dest, &frame)...)
		frames = append(frames, append(in.take(len(frame)), frame...))
		return f, err
	})
	if err != nil {
		return nil, err
	}
	return records, s.unpackAll(records, frames, in)
}

// documentsAfter runs rows, which gives account, row number and sorted values, and reads
// the documents then.
func (s *Store) documentsAfter(ctx context.Context, r querier, rows string, args []any, sorted int, in *room) ([]FindingRecord, error) {
	records, err := collect(ctx, r, rows, args, func(r scanner) (FindingRecord, error) {
		f := FindingRecord{sorted: make([]any, sorted)}
		dest := []any{&f.Account, &f.rid}
		for i := range f.sorted {
			dest = append(dest, &f.sorted[i])
		}
		err := r.Scan(dest...)
		return f, err
	})
	if err != nil || len(records) == 0 {
		return nil, err
	}
	err = s.attachDocs(ctx, r, records, in)
	for i := range records {
		records[i].Account = "" // it only led to the document
	}
	return records, err
}
