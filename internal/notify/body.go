package notify

import (
	"fmt"
	"strings"
)

// body writes plain text and keeps its parts. Every value goes through Clean and
// stands behind a label or an indent, so that it cannot pass for a line of ours.
type body struct {
	strings.Builder
	content Content
	group   bool // the next fact begins a group
}

func (b *body) line(s string) { b.WriteString(s + "\n") }

func (b *body) gap() {
	b.WriteString("\n")
	b.group = true
}

func (b *body) indent(s string) { b.line("  " + s) }

// lead says in our words what happened.
func (b *body) lead(s string) {
	b.line(s)
	b.content.Lead = s
}

// note says something of ours after the facts.
func (b *body) note(s string) {
	b.line(s)
	b.content.Note = s
}

func (b *body) fact(name, value string) {
	if value = Clean(value, maxFact); value == "" {
		return
	}
	b.line(fmt.Sprintf("  %-12s %s", name+":", value))
	if b.group || len(b.content.Groups) == 0 {
		b.content.Groups, b.group = append(b.content.Groups, nil), false
	}
	last := &b.content.Groups[len(b.content.Groups)-1]
	*last = append(*last, Fact{name, value})
}

func (b *body) reason(s string) {
	if s = Clean(s, maxReason); s != "" {
		b.gap()
		b.line("Reason:")
		b.indent(s)
		b.content.Reason = s
	}
}

func (b *body) detail(s string) {
	b.gap()
	b.line("Detail:")
	b.content.Detail = Clean(s, maxDetail)
	b.indent(b.content.Detail)
}

func (b *body) next(commands ...string) {
	b.gap()
	b.line("Next:")
	for _, c := range commands {
		b.indent(c)
	}
	b.content.Next = commands
}
