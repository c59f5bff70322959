package notify

import (
	"strings"
	"time"
)

// Invitation is who is invited to choose a password, to what and by whom.
type Invitation struct {
	ID             string // of the message
	Name, Role, By string
	// Link leads to the page where they choose it. Whoever has it can.
	Link     string
	At, Ends time.Time
}

// RenderInvitation words an invitation. It is no notification: it goes to one person and
// to no channel.
func RenderInvitation(v Invitation) Message {
	var b body
	by := Clean(v.By, maxFact)
	b.lead(by + " lets you sign in to Parry. Choose a password first.")
	b.gap()
	b.fact("Name", v.Name)
	b.fact("Role", v.Role)
	b.fact("Invited by", v.By)
	b.fact("Valid until", v.Ends.UTC().Format("2006-01-02 15:04 UTC"))
	b.gap()
	link := strings.ReplaceAll(Clean(v.Link, maxReason), " ", "")
	b.line("Choose your password:")
	b.indent(link)
	b.content.Link = Fact{"Choose your password", link}
	b.gap()
	b.note("The link works once, and for whoever has it: do not pass it on. If you do not know " + by + ", delete this mail.")
	return Message{ID: v.ID, Subject: "You are invited to Parry", Body: b.String(), Content: b.content, At: v.At}
}
