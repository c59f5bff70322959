package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
)

// defaultScan bounds how many rows one page with Match looks at.
const defaultScan = 10_000

// FindingQuery asks for a page of findings.
type FindingQuery struct {
	// Accounts is the scope of the caller: see AllAccounts. It is required.
	Accounts []string
	// WithoutAccounts are left out, at most MaxWithout. Unlike the rest they may change
	// from one page to the next.
	WithoutAccounts []string
	// Where holds for every finding of the page: all conditions together.
	Where []Condition
	// Filter holds for every finding of the page too, by what the documents say,
	// with relative dates measured from At: by default the store's time on the
	// first page, and that of the first page on those behind it. Where
	// no column decides it, documents are read, and a page may be short, or empty,
	// and still have a Next.
	Filter filter.Filter
	At     time.Time
	// Match decides on what no filter can say. It sees the documents; it must not
	// keep them. With it a page may be short, as with Filter.
	Match func(FindingRecord) bool
	// MaxScan bounds the rows that a page with Filter or Match looks at; 0 is 10,000.
	MaxScan int
	// Sort orders the page; default is the latest update first.
	Sort []SortKey
	// Limit is the size of the page: 50 by default, at most 1,000.
	Limit  int
	Cursor string
	// MainOnly leaves out findings that another one stands for, see LinkedFindings.
	MainOnly bool
	// Exception leaves only the findings that the exception with this id suppresses,
	// AnyException those that one does.
	Exception string
	// ColumnsOnly leaves the documents out, DocumentsOnly everything else: records, also
	// those that Match sees, then hold Doc and Original alone.
	ColumnsOnly, DocumentsOnly bool
}

// AnyException is every exception, for FindingQuery.
const AnyException = "*"

// FindingPage is one page; Next is "" on the last.
type FindingPage struct {
	Records []FindingRecord
	Next    string

	room *room
}

// QueryFindings gives a page of findings. Pages are by key: findings that come
// or go between two pages neither repeat nor hide others.
func (s *Store) QueryFindings(ctx context.Context, q FindingQuery) (FindingPage, error) {
	const op = "query findings"
	by, err := findingOrder(q.Sort)
	if err != nil {
		return FindingPage{}, err
	}
	if q.At.IsZero() {
		q.At = s.now()
	}
	q.At = q.At.Truncate(time.Microsecond) // as the columns are
	about := position{Question: q.question(), At: q.At.UnixMicro()}
	var from *position
	if q.Cursor != "" {
		p, err := decodePosition(q.Cursor, by.String(), by.kinds())
		if err != nil || p.Question != about.Question {
			return FindingPage{}, badCursor()
		}
		from, q.At, about.At = &p, time.UnixMicro(p.At).UTC(), p.At
	}
	page, last, err := s.readPage(ctx, compiled(q), by, from)
	if err == nil && last != nil {
		about.Order, about.Values = last.Order, last.Values
		page.Next, err = about.encode()
	}
	return page, s.fail(op, err)
}

// readPage reads one page, all of it as it was at one moment.
func (s *Store) readPage(ctx context.Context, q FindingQuery, by order, from *position) (FindingPage, *position, error) {
	if q.Match == nil && (q.ColumnsOnly || q.DocumentsOnly && !s.dialect.Guesses) && !s.searchesFirst(q.Where) {
		return s.findingPage(ctx, s.findings.Read, q, by, from) // one statement sees one moment anyway
	}
	raw, err := s.findings.Read.BeginTx(ctx, s.dialect.Snapshot)
	if err != nil {
		return FindingPage{}, nil, err
	}
	page, last, err := s.findingPage(ctx, raw, q, by, from)
	return page, last, errors.Join(err, raw.Rollback())
}

// question names what q asks, without page and order.
func (q FindingQuery) question() string {
	text, err := json.Marshal([]any{q.Accounts, q.Where, q.Filter, q.Exception})
	if err != nil {
		return "" // strings and numbers always marshal
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// findingPage fills one page, in several reads when Match refuses rows, and
// gives where the next begins, nil for the last.
func (s *Store) findingPage(ctx context.Context, r querier, q FindingQuery, by order, from *position) (FindingPage, *position, error) {
	limit, chunk := pageSize(q.Limit), pageSize(q.Limit)
	scan := limit
	if q.Match != nil {
		if scan = q.MaxScan; scan <= 0 {
			scan = defaultScan
		}
	}
	page := FindingPage{room: &room{docs: s.docs}}
	where, some, err := s.rareWords(ctx, r, q.Where)
	if err != nil || !some {
		return page, nil, err
	}
	q.Where = where
	for scan > 0 {
		n := min(chunk, scan)
		records, err := s.findingChunk(ctx, r, q, by, from, n+1, page.room)
		if err != nil {
			return page, nil, err
		}
		more := len(records) > n
		if more {
			records = records[:n]
		}
		scan -= len(records)
		if page.Records == nil {
			page.Records = make([]FindingRecord, 0, min(limit, len(records)))
		}
		last := -1
		for i, rec := range records {
			last = i
			if q.Match != nil && !q.Match(rec) {
				continue
			}
			if q.ColumnsOnly {
				rec.Doc, rec.Original = nil, nil
			}
			page.Records = append(page.Records, rec)
			if len(page.Records) == limit {
				more = more || i < len(records)-1
				scan = 0
				break
			}
		}
		if !more {
			return page, nil, nil
		}
		p := by.position(records[last])
		from = &p
		// Documents are worth reading ahead only when few of them match.
		chunk = min(chunk*2, maxChunk)
	}
	return page, from, nil
}

// searchesFirst reports whether rareWords has something to look up for where.
func (s *Store) searchesFirst(where []Condition) bool {
	return s.dialect.Guesses && slices.ContainsFunc(where, func(c Condition) bool { return c.Column == columnWords })
}

// rareWords has searches for words that few findings have ask for those findings, and
// says whether there are any. A planner that does not know how rare a word is takes the
// findings in order and looks up the text of each, which for a word that none has is
// every finding: seconds where reading the texts takes a part of one.
func (s *Store) rareWords(ctx context.Context, r querier, where []Condition) (out []Condition, some bool, err error) {
	if out = slices.Clone(where); !s.dialect.Guesses {
		return out, true, nil
	}
	for i, c := range where {
		if c.Column != columnWords || c.Op != OpContains || len(c.Or)+len(c.And) > 0 || len(c.Values) == 0 {
			continue
		}
		b := builder{columns: findingColumn, dialect: s.dialect}
		parts := make([]string, len(c.Values))
		for j, v := range c.Values {
			word, err := wordsColumn.value(v, wideColumn)
			if err != nil {
				return nil, false, err
			}
			parts[j] = s.dialect.Find + "(t.text, " + b.arg(word) + ") > 0"
		}
		rows, err := collect(ctx, r, "SELECT t.rid FROM finding_text t WHERE "+strings.Join(parts, " OR ")+" LIMIT "+b.arg(int64(maxValues+1)), b.args, scanInt)
		if err != nil || len(rows) == 0 {
			return nil, false, err
		}
		if len(rows) <= maxValues {
			out[i].rows = rows
		}
	}
	return out, true, nil
}

// maxChunk bounds how many documents are in memory at a time.
const maxChunk = 1000

// compiled turns q's filter into conditions on columns and, for what these do
// not decide, into a match on documents.
func compiled(q FindingQuery) FindingQuery {
	where, rest := narrow(q.Filter, q.At)
	q.Where = slices.Concat(q.Where, where)
	if len(rest.Criteria) == 0 {
		return q
	}
	match, members := q.Match, rest.Members()
	q.Match = func(r FindingRecord) bool {
		doc, err := finding.ReopenMembers(r.Doc, members...)
		return err == nil && rest.Match(doc, q.At) && (match == nil || match(r))
	}
	return q
}

func (s *Store) findingChunk(ctx context.Context, r querier, q FindingQuery, by order, from *position, n int, room *room) ([]FindingRecord, error) {
	b := builder{columns: findingColumn, dialect: s.dialect}
	if err := b.scope("query findings", q.Accounts); err != nil {
		return nil, err
	}
	if err := b.without("query findings", q.WithoutAccounts); err != nil {
		return nil, err
	}
	if err := b.conditions(q.Where); err != nil {
		return nil, err
	}
	if q.MainOnly {
		b.where = append(b.where, mainOnly())
	}
	b.excepted(q.Exception)
	if from != nil {
		b.after(by, *from)
	}
	if q.DocumentsOnly && !q.ColumnsOnly {
		return s.documentsOf(ctx, r, &b, by, n, room)
	}
	query := s.q.FindingPage + b.sql() + " ORDER BY " + by.String() + " LIMIT " + b.arg(int64(n))
	records, err := collect(ctx, r, query, b.args, func(r scanner) (FindingRecord, error) { return scanFinding(r) })
	if err != nil || len(records) == 0 || q.ColumnsOnly && q.Match == nil {
		return records, err
	}
	return records, s.attachDocs(ctx, r, records, nil)
}

// attachDocs reads the documents of records. They are kept apart from the
// columns so that sorting a page never drags documents along.
func (s *Store) attachDocs(ctx context.Context, r querier, records []FindingRecord, in *room) error {
	at := make(map[int64]int, len(records))
	keys := make([][2]string, len(records))
	for i, rec := range records {
		at[rec.rid] = i
		keys[i] = [2]string{rec.Account, strconv.FormatInt(rec.rid, 10)}
	}
	arg, err := list(keys)
	if err != nil {
		return err
	}
	frames := make([][]byte, len(records))
	_, err = collect(ctx, r, s.q.DocsRead, []any{arg}, func(r scanner) (struct{}, error) {
		var rid int64
		var frame sql.RawBytes
		err := r.Scan(&rid, &frame)
		if i, ok := at[rid]; ok {
			frames[i] = append(in.take(len(frame)), frame...)
		}
		return struct{}{}, err
	})
	if err != nil {
		return err
	}
	return s.unpackAll(records, frames, in)
}

// findingOrder checks the sort keys and adds the row number, which is unique.
func findingOrder(keys []SortKey) (order, error) {
	if len(keys) == 0 {
		keys = []SortKey{{Column: "updated_at", Descending: true}}
	}
	if len(keys) > 4 {
		return nil, invalid("query findings", "more than 4 sort keys")
	}
	var by order
	for _, k := range keys {
		kind, _ := findingColumn(k.Column)
		if !kind.sortable() || k.Column == "resources" {
			return nil, invalid("query findings", "there is no column %q to sort by", k.Column)
		}
		by = append(by, sortColumn{"f." + k.Column, kind, k.Descending})
	}
	return append(by, sortColumn{"f.rid", numberColumn, keys[len(keys)-1].Descending}), nil
}

// position gives where rec stands in the order.
func (o order) position(rec FindingRecord) position {
	p := position{Order: o.String()}
	if rec.sorted != nil {
		p.Values = rec.sorted
		return p
	}
	for _, c := range o {
		p.Values = append(p.Values, rec.column(c.name))
	}
	return p
}

// column gives the stored value of a sort column.
func (f FindingRecord) column(name string) any {
	switch name {
	case "f.rid":
		return f.rid
	case "f.account":
		return f.Account
	case "f.product_arn":
		return f.ID.ProductArn
	case "f.id":
		return f.ID.Id
	case "f.region":
		return f.Region
	case "f.control":
		return f.Control
	case "f.generator":
		return f.Generator
	case "f.product":
		return f.Product
	case "f.severity":
		return f.SeverityLabel
	case "f.severity_normalized":
		return int64(f.SeverityNormalized)
	case "f.workflow":
		return f.Workflow
	case "f.record_state":
		return f.RecordState
	case "f.compliance":
		return f.Compliance
	case "f.resource_id":
		return f.ResourceID
	case "f.resource_type":
		return f.ResourceType
	case "f.title":
		return f.Title
	case "f.source":
		return f.Source
	case "f.trusted":
		return flag(f.Trusted)
	case "f.priority":
		return int64(f.Priority)
	case "f.overdue":
		return flag(f.Overdue)
	case "f.threat":
		return flag(f.Threat)
	case "f.due_at":
		return micros(f.DueAt)
	case "f.created_at":
		return f.createdAt
	case "f.updated_at":
		return f.updatedAt
	}
	return micros(f.StoredAt)
}

// FindingHistory gives a page of a finding's changes, latest first. A finding
// that is not there has none.
func (s *Store) FindingHistory(ctx context.Context, id finding.ID, limit int, cursor string) ([]HistoryEntry, string, error) {
	return s.FindingHistoryWithin(ctx, HistoryQuery{ID: id, Limit: limit, Cursor: cursor})
}

// HistoryQuery asks for the changes of a finding.
type HistoryQuery struct {
	ID finding.ID
	// From and To bound the time of the change, both included; zero is open.
	From, To time.Time
	// Limit is the size of the page: 50 by default, at most 1,000.
	Limit  int
	Cursor string
}

// FindingHistoryWithin is FindingHistory between two times.
func (s *Store) FindingHistoryWithin(ctx context.Context, q HistoryQuery) ([]HistoryEntry, string, error) {
	const op, by = "read finding history", "seq DESC"
	before, from, to := int64(math.MaxInt64), int64(math.MinInt64), int64(math.MaxInt64)
	if !q.From.IsZero() {
		from = q.From.Add(time.Microsecond - 1).UnixMicro() // the next whole microsecond
	}
	if !q.To.IsZero() {
		to = q.To.UnixMicro()
	}
	if q.Cursor != "" {
		p, err := decodePosition(q.Cursor, by, []columnType{numberColumn})
		if err != nil {
			return nil, "", err
		}
		before, _ = p.Values[0].(int64)
	}
	n := pageSize(q.Limit)
	last := []int64{}
	entries, err := collect(ctx, s.findings.Read, s.q.EventPage, []any{findingKey(q.ID), before, int64(n + 1), from, to}, func(r scanner) (HistoryEntry, error) {
		var h HistoryEntry
		var seq, at int64
		var frame []byte
		if err := r.Scan(&seq, &at, &frame); err != nil {
			return h, err
		}
		last = append(last, seq)
		return h, s.unpackJSON(frame, &h)
	})
	if err != nil || len(entries) <= n {
		return entries, "", s.fail(op, err)
	}
	next, err := position{Order: by, Values: []any{last[n-1]}}.encode()
	return entries[:n], next, s.fail(op, err)
}
