package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// hashed is what an entry's hash covers, besides the rule that its members stand
// in this form.
type hashed struct {
	Index    int64           `json:"index"`
	PrevHash string          `json:"prev_hash"`
	File     store.File      `json:"file"`
	Seq      int64           `json:"seq"`
	At       string          `json:"at"`
	Actor    string          `json:"actor"`
	Action   string          `json:"action"`
	Object   string          `json:"object"`
	Detail   json.RawMessage `json:"detail,omitempty"`
}

// Hash gives the hash of e, whose own Hash is not looked at.
func Hash(e store.AuditEntry) (string, error) {
	raw, err := json.Marshal(hashed{
		Index: e.Index, PrevHash: e.PrevHash, File: e.File, Seq: e.Seq,
		At: e.At.UTC().Format(time.RFC3339Nano), Actor: e.Actor, Action: e.Action, Object: e.Object, Detail: e.Detail,
	})
	if err != nil {
		return "", fmt.Errorf("hash audit record %s/%d: %w", e.File, e.Seq, err)
	}
	text, err := canonical(raw)
	if err != nil {
		return "", fmt.Errorf("hash audit record %s/%d: %w", e.File, e.Seq, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// link gives the entry that puts row behind last, zero for the first.
func link(last store.AuditEntry, row store.AuditRow) (store.AuditEntry, error) {
	e := store.AuditEntry{Index: last.Index + 1, PrevHash: last.Hash, File: row.File, Seq: row.Seq, AuditRecord: row.AuditRecord}
	e.At = e.At.UTC()
	var err error
	e.Hash, err = Hash(e)
	return e, err
}

// Checkpoint is a place in the chain. Kept where Parry's operators cannot write,
// it shows whether the log up to it was rewritten or cut.
type Checkpoint struct {
	Index int64  `json:"index"`
	Hash  string `json:"hash"`
}

// String prints "index:hash".
func (c Checkpoint) String() string { return strconv.FormatInt(c.Index, 10) + ":" + c.Hash }

// ParseCheckpoint reads what String printed.
func ParseCheckpoint(s string) (Checkpoint, error) {
	const op = "read checkpoint"
	index, hash, ok := strings.Cut(strings.TrimSpace(s), ":")
	n, err := strconv.ParseInt(index, 10, 64)
	if raw, hexErr := hex.DecodeString(hash); !ok || err != nil || n < 1 || hexErr != nil || len(raw) != sha256.Size {
		return Checkpoint{}, fault.Errorf(fault.Invalid, op, "it is not index:hash").WithHint("a checkpoint looks like 42:9f86d081…, as parry audit verify prints it")
	}
	return Checkpoint{Index: n, Hash: strings.ToLower(hash)}, nil
}
