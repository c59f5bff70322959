package store

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/parry-security/parry/internal/control"
	"github.com/parry-security/parry/internal/finding"
)

// FindingRecord is a stored finding: the documents, and the columns by which it
// is found. The columns are a copy of what the final document says; Doc wins.
type FindingRecord struct {
	ID finding.ID
	// Rev counts the writes; 1 is the first.
	Rev int64

	Account   string
	Region    string
	Control   string
	Generator string
	Product   string
	// SeverityLabel and SeverityNormalized are those of the final document.
	SeverityLabel      string
	SeverityNormalized int
	Workflow           string
	RecordState        string
	Compliance         string
	// ResourceID and ResourceType are those of the first resource.
	ResourceID   string
	ResourceType string
	Title        string
	// Source is what brought the finding; Trusted says that it may start
	// automatic remediation.
	Source  string
	Trusted bool
	// Touched names the attributes that a customer set, which a provider may
	// not overwrite.
	Touched []string
	// Priority is 0 to 100; DueAt is until when the finding should be dealt with,
	// zero without a deadline, and Overdue says that it has passed. Threat says that
	// the finding itself is of an active threat.
	Priority int
	DueAt    time.Time
	Overdue  bool
	Threat   bool
	// Exception is the id of the exception that suppresses the finding, "" for none.
	// ExemptAt is when a person last set the status of a finding that an exception
	// covers: exceptions that were in force then leave it alone.
	Exception string
	ExemptAt  time.Time
	// CreatedAt and UpdatedAt are the document's, to the microsecond: compare
	// the text of the document when more matters.
	CreatedAt time.Time
	UpdatedAt time.Time
	// StoredAt is when the row was last written; the store sets it.
	StoredAt time.Time
	// Evidence is what the final document says about controls, for the counters:
	// it is written only, never read back.
	Evidence control.Evidence

	// Types are what the final document says of itself, for filters: like Evidence.
	Types []string

	// Doc is the final ASFF document, Original the provider's before rules and
	// customers changed it.
	Doc      json.RawMessage
	Original json.RawMessage

	rid int64
	// createdAt and updatedAt are the columns: as a time, the year 1 would be
	// taken for no time.
	createdAt, updatedAt int64
	// sorted are the values of the sort columns, of a record without columns.
	sorted []any
}

// HistoryEntry is one change of a finding, as GetFindingHistory shows it.
type HistoryEntry struct {
	At      time.Time `json:"at"`
	Created bool      `json:"created,omitempty"`
	// Source is BATCH_IMPORT_FINDINGS, BATCH_UPDATE_FINDINGS or another kind of
	// writer; Identity is who.
	Source   string           `json:"source"`
	Identity string           `json:"identity"`
	Updates  []finding.Update `json:"updates,omitempty"`
	// Reason says why, where the writer has one to give.
	Reason string `json:"reason,omitempty"`
}

// FindingWrite creates or replaces one finding.
type FindingWrite struct {
	Record FindingRecord
	// ExpectRev is the Rev that was read, 0 for a finding that must be new.
	ExpectRev int64
	History   []HistoryEntry
	// Search is what the finding is found by; nil reads it from the document.
	Search *Search
}

// findingKey identifies a finding in a bounded number of bytes.
func findingKey(id finding.ID) string {
	sum := sha256.Sum256([]byte(id.ProductArn + "\x00" + id.Id))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func findingKeys(ids []finding.ID) (string, error) {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = findingKey(id)
	}
	return list(keys)
}

// Findings gives the findings among ids that exist, in no particular order.
func (s *Store) Findings(ctx context.Context, ids []finding.ID) ([]FindingRecord, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	arg, err := findingKeys(unique(ids))
	if err != nil {
		return nil, s.fail("read findings", err)
	}
	records, err := collect(ctx, s.findings.Read, s.q.FindingRead, []any{arg}, func(r scanner) (FindingRecord, error) {
		var frame []byte
		rec, err := scanFinding(r, &frame)
		if err != nil {
			return rec, err
		}
		rec.Doc, rec.Original, err = s.unpackPair(frame)
		return rec, err
	})
	return records, s.fail("read findings", err)
}

func (s *Store) unpackPair(frame []byte) (doc, original json.RawMessage, err error) {
	a, b, err := s.docs.unpackPair(frame)
	if len(b) == 0 {
		b = nil
	}
	return a, b, err
}

func unique[T comparable](in []T) []T {
	seen := make(map[T]bool, len(in))
	out := make([]T, 0, len(in))
	for _, v := range in {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// scanFinding reads the columns of FindingPage and then more.
func scanFinding(r scanner, more ...any) (FindingRecord, error) {
	var f FindingRecord
	var touched string
	var trusted, stored, due, overdue, threat, exempt int64
	dest := append([]any{
		&f.rid, &f.Account, &f.ID.ProductArn, &f.ID.Id, &f.Rev, &f.Region, &f.Control, &f.Generator, &f.Product,
		&f.SeverityLabel, &f.SeverityNormalized, &f.Workflow, &f.RecordState, &f.Compliance, &f.ResourceID,
		&f.ResourceType, &f.Title, &f.Source, &trusted, &touched, &f.createdAt, &f.updatedAt, &stored,
		&f.Priority, &due, &overdue, &threat, &f.Exception, &exempt,
	}, more...)
	if err := r.Scan(dest...); err != nil {
		return f, err
	}
	f.Trusted, f.Overdue, f.Threat = trusted != 0, overdue != 0, threat != 0
	f.CreatedAt, f.UpdatedAt, f.StoredAt = fromMicros(f.createdAt), fromMicros(f.updatedAt), fromMicros(stored)
	f.DueAt, f.ExemptAt = fromMicros(due), fromMicros(exempt)
	if touched == "" {
		return f, nil
	}
	return f, json.Unmarshal([]byte(touched), &f.Touched)
}

// The widths of the text columns, in bytes.
const (
	wideColumn   = 1024
	narrowColumn = 256
)

// columns gives the values of FindingInsert and FindingUpdate.
func (f FindingRecord) columns(now int64, resources int) ([]any, error) {
	touched := ""
	if len(f.Touched) > 0 {
		var err error
		if touched, err = list(f.Touched); err != nil {
			return nil, err
		}
	}
	return []any{
		f.rid, f.Account, f.ID.ProductArn, f.ID.Id, f.Rev,
		text(f.Region, narrowColumn), text(f.Control, narrowColumn), text(f.Generator, wideColumn), text(f.Product, narrowColumn),
		text(f.SeverityLabel, narrowColumn), int64(f.SeverityNormalized), text(f.Workflow, narrowColumn),
		text(f.RecordState, narrowColumn), text(f.Compliance, narrowColumn), text(f.ResourceID, wideColumn),
		text(f.ResourceType, narrowColumn), text(f.Title, wideColumn), text(f.Source, maxID), flag(f.Trusted),
		text(touched, 1<<16), micros(f.CreatedAt), micros(f.UpdatedAt), now, int64(resources),
		int64(f.Priority), micros(f.DueAt), flag(f.Overdue), flag(f.Threat), f.evidence(),
		text(f.Exception, maxID), micros(f.ExemptAt), typesColumn(f.Types),
	}, nil
}
