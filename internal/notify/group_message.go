package notify

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// The words for findings, which have no state.
const (
	kindFinding   = "finding"
	statusFinding = "finding"
)

// GroupEvent is the type of the event in a message about several notifications.
const GroupEvent = "Parry Notification Group"

// several says of a status what is said of many, and by which states
// `parry remediation list` shows them.
func several(status string) (sentence string, state remediation.State) {
	switch status {
	case "queued":
		return "are approved and queued.", ""
	case "awaiting approval":
		return "wait for approval. Nothing has been changed by them.", remediation.AwaitingApproval
	case "succeeded":
		return "succeeded and were verified by reading them back from AWS.", remediation.Verified
	case "unverified":
		return "ran, but reading back from AWS did not show them.", remediation.Unverified
	case "failed":
		return "failed.", remediation.Failed
	case "undone":
		return "were undone. The resources are as they were before.", remediation.Undone
	case "regressed":
		return "were verified, and are no longer there.", remediation.Regressed
	case "rejected":
		return "were rejected. Nothing was changed by them.", remediation.Rejected
	case "expired":
		return "were not approved in time. Nothing was changed by them.", remediation.Expired
	case "superseded":
		return "had plans that do not hold any more, so they were stopped.", remediation.Superseded
	case "cancelled":
		return "were cancelled.", remediation.Cancelled
	case statusFinding:
		return "were imported or updated.", ""
	}
	return "", ""
}

// whole reports whether every notification of a status must be listed, in however many
// messages: those that ask a person to act.
func whole(status string) bool {
	return slices.Contains([]string{"awaiting approval", "failed", "unverified", "regressed"}, status)
}

// Urgent reports whether m asks a person to act.
func (m Message) Urgent() bool { return whole(m.Status) }

// groupMessage gives message d. One that tells of a single notification is that
// notification's own.
func groupMessage(d store.GroupDue, a about, took store.GroupMessage, most int) (Message, error) {
	var items []Item
	var only Message
	for _, held := range took.First {
		var doc heldDoc
		if err := json.Unmarshal(held.Doc, &doc); err != nil {
			return only, fmt.Errorf("read notification %s: %w", held.ID, err)
		}
		m, ok, err := Render(doc.Notification.Event, doc.Severity, doc.Title)
		if err != nil || !ok {
			return only, fmt.Errorf("render notification %s: told %t, %w", held.ID, ok, err)
		}
		m.ID = held.ID
		only = m
		items = append(items, m.Items...)
	}
	if took.Notifications == 1 {
		return only, nil
	}
	return a.message(d, items[:min(len(items), most)], took.Items)
}

// message tells of count things, of which items are listed.
func (a about) message(d store.GroupDue, items []Item, count int64) (Message, error) {
	sentence, state := several(a.Status)
	noun := a.Kind + "s"
	var b body
	b.lead(fmt.Sprintf("%d %s %s", count, noun, sentence))
	b.gap()
	for _, f := range a.Labels {
		b.fact(strings.ToUpper(f.Name[:1])+f.Name[1:], f.Value)
	}
	b.table(a.columns(items))
	if more := count - int64(len(items)); more > 0 {
		b.gap()
		b.note(fmt.Sprintf("And %d more, not listed here.", more))
	}
	b.next(a.commands(state)...)
	m := Message{
		ID:      messageID(fmt.Sprintf("group %s %d", d.Group, d.Message), d.Channel),
		Subject: a.subject(noun, count), Body: b.String(), Content: b.content, Status: a.Status, Kind: a.Kind, Items: items,
		At: time.UnixMicro(d.Message).UTC(),
	}
	if len(items) > 0 {
		m.Severity = items[0].Severity // the most severe stands first
	}
	if m.Severity != "" {
		m.Subject = Clean("["+m.Severity+"] "+m.Subject, maxSubject)
	}
	// A group goes on for as long as Parry runs; a thread of it is a day's.
	m.Thread = "grp-" + d.Group + "-" + m.At.Format("20060102")
	detail, err := json.Marshal(map[string]any{"kind": a.Kind, "status": a.Status, "labels": labelMap(a.Labels), "count": count, "listed": len(items), "items": items})
	if err != nil {
		return m, fmt.Errorf("encode group: %w", err)
	}
	m.Event = bus.Event{
		Version: "0", ID: m.ID, DetailType: GroupEvent, Source: bus.SourceParry, Account: a.value("account"), Region: a.value("region"),
		Time: m.At, Resources: []string{}, Detail: detail,
	}
	return m, nil
}

func labelMap(labels []Fact) map[string]string {
	out := map[string]string{}
	for _, f := range labels {
		out[f.Name] = f.Value
	}
	return out
}

func (a about) subject(noun string, count int64) string {
	out := "Parry: " + strconv.FormatInt(count, 10) + " " + noun
	if a.Status != statusFinding {
		out += " " + a.Status
	}
	what := a.value("control")
	if what == "" {
		what = a.value("playbook")
	}
	if what != "" {
		out += ": " + Clean(what, 60)
	}
	if account := a.value("account"); account != "" {
		out += " in " + account
	}
	if region := a.value("region"); region != "" {
		out += ", " + region
	}
	return Clean(out, maxSubject)
}

// columns lays items out, without what is empty in all or said of the group already.
func (a about) columns(items []Item) Table {
	all := []struct {
		name  string
		of    func(Item) string
		omit  bool
		limit int
	}{
		{"Severity", func(i Item) string { return i.Severity }, a.value("severity") != "", 13},
		{"Control", func(i Item) string { return i.Control }, a.value("control") != "", 30},
		{"Account", func(i Item) string { return i.Account }, a.value("account") != "", 20},
		{"Region", func(i Item) string { return i.Region }, a.value("region") != "", 20},
		{"Remediation", func(i Item) string { return i.ID }, false, 40},
		{"Approval", func(i Item) string { return i.Approval }, false, 40},
		{"Resource", func(i Item) string { return i.Resource }, false, 90},
		{"Title", func(i Item) string { return i.Title }, false, 80},
		{"Reason", func(i Item) string { return i.Reason }, !whole(a.Status) || a.Status == "awaiting approval", maxCell},
	}
	var t Table
	t.Rows = make([][]string, len(items))
	for _, c := range all {
		if c.omit || !slices.ContainsFunc(items, func(i Item) bool { return c.of(i) != "" }) {
			continue
		}
		t.Columns = append(t.Columns, c.name)
		for row, i := range items {
			t.Rows[row] = append(t.Rows[row], Clean(c.of(i), c.limit))
		}
	}
	return t
}

// commands are what a person can do next; a label is put into one only where it is fit.
func (a about) commands(state remediation.State) []string {
	switch {
	case a.Kind == kindFinding:
		return []string{"parry finding list"}
	case a.Status == "awaiting approval":
		return []string{"parry approval list", "parry plan show REMEDIATION", "parry approval grant APPROVAL"}
	}
	list := "parry remediation list"
	if state != "" {
		list += " --state " + string(state)
	}
	for _, name := range []string{"account", "control"} {
		if v := a.value(name); v != "" && argument(v) == v {
			list += " --" + name + " " + v
		}
	}
	return []string{list, "parry remediation show REMEDIATION"}
}

// table writes columns as wide as their widest cell; the last is as long as it is.
func (b *body) table(t Table) {
	if len(t.Rows) == 0 {
		return
	}
	b.gap()
	b.content.Table = t
	width := make([]int, len(t.Columns))
	lines := append([][]string{make([]string, len(t.Columns))}, t.Rows...)
	for i, name := range t.Columns {
		lines[0][i] = strings.ToUpper(name)
	}
	for _, line := range lines {
		for i, cell := range line {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range lines {
		var out strings.Builder
		for i, cell := range line {
			if cell == "" {
				cell = "-"
			}
			out.WriteString(cell)
			if i < len(line)-1 {
				out.WriteString(strings.Repeat(" ", max(0, width[i]-utf8.RuneCountInString(cell))+2))
			}
		}
		b.indent(out.String())
	}
}
