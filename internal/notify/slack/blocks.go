package slack

import (
	"strings"

	"github.com/parry-security/parry/internal/notify"
)

// The limits of Block Kit, https://api.slack.com/reference/block-kit/blocks, counted in
// bytes, which are never fewer than Slack's characters.
const (
	maxBlocks  = 50
	maxSection = 3000
	maxHeader  = 150
	maxLine    = 1000 // Parry's own, of one fact
	maxRow     = 400  // of a table's row
	maxRows    = 50   // of a table: at most 9 sections
)

// message is the body of a post. Text is what notifications of the client show.
type message struct {
	Text   string  `json:"text"`
	Blocks []block `json:"blocks"`
}

type block struct {
	Type     string `json:"type"`
	Text     *text  `json:"text,omitempty"`
	Elements []text `json:"elements,omitempty"`
}

type text struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// layout gives m in blocks. Text from outside stands escaped, in backquotes where mrkdwn
// is read and as plain text where it is not.
func layout(m notify.Message) message {
	c := m.Content
	out := message{Text: notify.Markup(m.Subject, maxSection)}
	out.Blocks = append(out.Blocks, block{Type: "header", Text: &text{"plain_text", cut(m.Subject, maxHeader)}})
	var s section
	s.add(bold(notify.Markup(c.Notice, maxLine)))
	s.add(notify.Markup(c.Lead, maxLine))
	s.end()
	for _, group := range c.Groups {
		for _, f := range group {
			s.add("*" + f.Name + ":* " + notify.Code(f.Value, maxLine))
		}
		s.end()
	}
	for _, row := range notify.Lines(c.Table, maxRow) {
		s.add(row)
	}
	s.end()
	s.add(notify.Markup(c.Note, maxLine))
	s.end()
	if c.Reason != "" {
		s.add("*Reason:* " + notify.Code(c.Reason, maxSection-20))
		s.end()
	}
	if c.Detail != "" {
		s.add("*Detail:* " + notify.Code(c.Detail, maxSection-20))
		s.end()
	}
	if len(c.Next) > 0 {
		s.add("*Next:*")
	}
	for _, command := range c.Next {
		s.add(notify.Code(command, maxLine))
	}
	s.end()
	out.Blocks = append(out.Blocks, s.blocks...)
	if len(out.Blocks) > maxBlocks-1 {
		out.Blocks = out.Blocks[:maxBlocks-1]
	}
	out.Blocks = append(out.Blocks, block{Type: "context", Elements: []text{{"mrkdwn", "Notification " + notify.Markup(m.ID, maxLine)}}})
	return out
}

func bold(s string) string {
	if s == "" {
		return ""
	}
	return "*" + s + "*"
}

// cut bounds plain text to limit bytes without breaking a character.
func cut(s string, limit int) string {
	s = notify.Clean(s, 0)
	if s == "" {
		return "Parry"
	}
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit-len("…")], "") + "…"
}

// section gathers lines into blocks of at most maxSection bytes.
type section struct {
	blocks []block
	b      strings.Builder
}

// add puts a line of at most maxSection bytes.
func (s *section) add(line string) {
	if line == "" {
		return
	}
	if s.b.Len()+len(line)+1 > maxSection {
		s.end()
	}
	if s.b.Len() > 0 {
		s.b.WriteByte('\n')
	}
	s.b.WriteString(line)
}

func (s *section) end() {
	if s.b.Len() > 0 {
		s.blocks = append(s.blocks, block{Type: "section", Text: &text{"mrkdwn", s.b.String()}})
		s.b.Reset()
	}
}
