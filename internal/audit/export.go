package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// maxLine bounds a line of an export.
const maxLine = 8 << 20

// Line is one entry of an export, as the REST API exports it too.
type Line struct {
	Index    int64      `json:"index"`
	PrevHash string     `json:"prev_hash"`
	Hash     string     `json:"hash"`
	File     store.File `json:"file"`
	Seq      int64      `json:"seq"`
	store.AuditRecord
}

// Export writes the whole chain to w as JSON lines and gives its end. It does not
// judge the chain: a broken one can be exported as it is.
func Export(ctx context.Context, r Reader, w io.Writer) (Checkpoint, error) {
	const op = "export the audit log"
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	var head Checkpoint
	for {
		entries, err := r.AuditEntries(ctx, head.Index, page)
		if err != nil {
			return head, fmt.Errorf("%s after entry %d: %w", op, head.Index, err)
		}
		for _, e := range entries {
			line := Line{Index: e.Index, PrevHash: e.PrevHash, Hash: e.Hash, File: e.File, Seq: e.Seq, AuditRecord: e.AuditRecord}
			if err := enc.Encode(line); err != nil {
				return head, fault.E(fault.Unavailable, op, err)
			}
			head = Checkpoint{Index: e.Index, Hash: e.Hash}
		}
		if len(entries) == 0 {
			break
		}
	}
	if err := out.Flush(); err != nil {
		return head, fault.E(fault.Unavailable, op, err)
	}
	return head, nil
}

// VerifyExport verifies what Export wrote, alone.
func VerifyExport(r io.Reader, checkpoint *Checkpoint) (Report, error) {
	v := newVerifier(checkpoint)
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for n := 1; lines.Scan(); n++ {
		raw := bytes.TrimSpace(lines.Bytes())
		if len(raw) == 0 {
			continue
		}
		line, err := readLine(raw)
		if err != nil {
			v.report.Broken = &Break{Index: v.report.Head.Index + 1, Reason: fmt.Sprintf("line %d cannot be read: %v", n, err)}
			return v.report, nil
		}
		if !v.next(store.AuditEntry{Index: line.Index, PrevHash: line.PrevHash, Hash: line.Hash, File: line.File, Seq: line.Seq, AuditRecord: line.AuditRecord}) {
			return v.report, nil
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			v.report.Broken = &Break{Index: v.report.Head.Index + 1, Reason: fmt.Sprintf("a line is longer than %d bytes", maxLine)}
			return v.report, nil
		}
		return v.report, fault.E(fault.Unavailable, "read the export", err)
	}
	return v.end(), nil
}

// readLine reads one entry. A member that the hash does not cover, or that is
// there twice, could tell a reader another story than the one verified.
func readLine(raw []byte) (Line, error) {
	var line Line
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&line); err != nil {
		return line, err
	}
	if d.More() {
		return line, errors.New("text after the entry")
	}
	again, err := json.Marshal(line)
	if err != nil {
		return line, err
	}
	want, err := canonical(again)
	if err != nil {
		return line, err
	}
	got, err := canonical(raw)
	if err != nil {
		return line, err
	}
	if !bytes.Equal(got, want) {
		return line, errors.New("it holds more than an entry does, or in another form")
	}
	return line, nil
}
