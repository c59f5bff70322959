package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/remediation"
)

// Message is what a channel is given.
type Message struct {
	// ID is "ntf-" and 32 hexadecimal digits, the same for every try.
	ID      string
	Subject string // one line
	Body    string // plain text, lines ended by "\n"
	// Content has what Body says in parts, for channels that lay it out themselves.
	Content Content
	// Status is what happened in a word or two: succeeded, awaiting approval, finding.
	Status   string
	Severity string // of the finding of a remediation, if it is known
	// Thread is the same for all messages about one remediation and its undos; "" is
	// none. It has only letters, digits, "-", "_" and ".".
	Thread string
	// Kind is what a message is about and Items what it tells of, where it may share a
	// message with others of its kind and status: remediation, undo, run or finding.
	Kind  string
	Items []Item
	// Test marks a message that tells of nothing that happened.
	Test  bool
	At    time.Time
	Event bus.Event
}

// Content is a message in parts. Every text is one line that went through Clean, but
// not escaped for any markup.
type Content struct {
	Notice string // stands before all else: that it is a test
	Lead   string // a sentence of ours
	Groups [][]Fact
	Table  Table
	Link   Fact   // what a page of ours is for, and its address
	Note   string // a sentence of ours after the facts
	Reason string
	Detail string // JSON
	Next   []string
}

// Fact is a name of ours with a value from outside.
type Fact struct{ Name, Value string }

// Item is one thing in a message about several. Every text went through Clean.
type Item struct {
	Severity string `json:"severity,omitempty"`
	Control  string `json:"control,omitempty"`
	Playbook string `json:"playbook,omitempty"`
	Account  string `json:"account,omitempty"`
	Region   string `json:"region,omitempty"`
	Resource string `json:"resource,omitempty"`
	Title    string `json:"title,omitempty"`
	ID       string `json:"id,omitempty"`       // of a remediation, fit for a command
	Approval string `json:"approval,omitempty"` // that it waits for, fit for a command
	Reason   string `json:"reason,omitempty"`
}

// Table has a row for each of several things.
type Table struct {
	Columns []string
	Rows    [][]string // as long as Columns
}

// messageID follows from the event and the channel only.
func messageID(event, channel string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s,%s", len(event), event, channel))
	return "ntf-" + hex.EncodeToString(sum[:16])
}

// thread gives the remediation that r's messages stand under: an undo those of what it
// undoes.
func thread(r remediation.Remediation) string {
	id := string(r.ID)
	if r.UndoOf != "" {
		id = string(r.UndoOf)
	}
	if argument(id) != id {
		return ""
	}
	return id
}
