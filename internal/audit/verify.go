package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/store"
)

// Reader gives the chain in pieces.
type Reader interface {
	AuditEntries(ctx context.Context, afterIndex int64, n int) ([]store.AuditEntry, error)
}

// page is how many entries are read at a time.
const page = 500

// Report is what a verification found.
type Report struct {
	OK      bool       `json:"ok"`
	Entries int64      `json:"entries"` // good ones, up to the break
	First   int64      `json:"first"`   // index of the first entry; 0 for an empty log
	Head    Checkpoint `json:"head"`    // of the last good entry: keep it elsewhere
	// Restored are the entries that say that the log goes on behind a restore: what was
	// chained between the backup and it is lost, and its indexes were given out again.
	Restored []Restored `json:"restored,omitempty"`
	// Checked says that the given checkpoint is in the chain.
	Checked bool   `json:"checked,omitempty"`
	Broken  *Break `json:"broken,omitempty"`
}

// Restored is a restore of the database, as the log tells of it.
type Restored struct {
	Index        int64     `json:"index"`
	At           time.Time `json:"at"`
	BackupMadeAt time.Time `json:"backup_made_at"`
	// Entries are how many the backup had; the log had more when it was lost.
	Entries int64 `json:"audit_entries"`
}

// Break is the first thing that is wrong.
type Break struct {
	Index  int64      `json:"index"`
	File   store.File `json:"file,omitempty"`
	Seq    int64      `json:"seq,omitempty"`
	Reason string     `json:"reason"`
}

// Error prints the place and the reason.
func (b *Break) Error() string { return fmt.Sprintf("audit entry %d: %s", b.Index, b.Reason) }

// Verify reads the whole chain from its first entry. A checkpoint, if given, must
// be in it. The error is about reading only: what is wrong with the chain is in
// the report.
func Verify(ctx context.Context, r Reader, checkpoint *Checkpoint) (Report, error) {
	v := newVerifier(checkpoint)
	after := int64(0)
	for {
		entries, err := r.AuditEntries(ctx, after, page)
		if err != nil {
			return v.report, fmt.Errorf("verify the audit log after entry %d: %w", after, err)
		}
		for _, e := range entries {
			if !v.next(e) {
				return v.report, nil
			}
			after = e.Index
		}
		if len(entries) == 0 {
			return v.end(), nil
		}
	}
}

// verifier takes entries in order.
type verifier struct {
	report     Report
	checkpoint *Checkpoint
}

func newVerifier(checkpoint *Checkpoint) *verifier { return &verifier{checkpoint: checkpoint} }

// next judges e and reports whether the chain is whole so far.
func (v *verifier) next(e store.AuditEntry) bool {
	if why := v.wrong(e); why != "" {
		v.report.Broken = &Break{Index: e.Index, File: e.File, Seq: e.Seq, Reason: why}
		return false
	}
	if v.report.Entries == 0 {
		v.report.First = e.Index
	}
	v.report.Entries++
	v.report.Head = Checkpoint{Index: e.Index, Hash: e.Hash}
	if e.Action == store.ActionRestored {
		r := Restored{}
		// An entry of another form tells at least where it stands.
		_ = json.Unmarshal(e.Detail, &r)
		r.Index, r.At = e.Index, e.At
		v.report.Restored = append(v.report.Restored, r)
	}
	return true
}

// wrong says what is wrong with e after the entries before it, "" for nothing.
func (v *verifier) wrong(e store.AuditEntry) string {
	last := v.report.Head
	want := last.Index + 1
	switch {
	case e.Index == last.Index && last.Index > 0:
		return "the index appears twice"
	case e.Index < want:
		return fmt.Sprintf("it stands behind entry %d", last.Index)
	case e.Index > want && want == e.Index-1:
		return fmt.Sprintf("entry %d is missing before it", want)
	case e.Index > want:
		return fmt.Sprintf("entries %d to %d are missing before it", want, e.Index-1)
	case e.PrevHash != last.Hash:
		return fmt.Sprintf("its previous hash is not that of entry %d: one of the two was replaced", last.Index)
	}
	hash, err := Hash(e)
	switch {
	case err != nil:
		return err.Error()
	case hash != e.Hash:
		return "its record does not have its hash: it was altered"
	case v.checkpoint == nil || v.checkpoint.Index != e.Index:
		return ""
	case v.checkpoint.Hash != e.Hash:
		return "its hash is not that of the checkpoint: the log was rewritten here or before"
	}
	v.report.Checked = true
	return ""
}

// end judges the chain as a whole.
func (v *verifier) end() Report {
	if c := v.checkpoint; c != nil && !v.report.Checked {
		v.report.Broken = &Break{Index: c.Index, Reason: fmt.Sprintf("the log ends with entry %d, before the checkpoint: entries were removed", v.report.Head.Index)}
	}
	v.report.OK = v.report.Broken == nil
	return v.report
}
