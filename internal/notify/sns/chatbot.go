package sns

import (
	"encoding/json"
	"strings"

	"github.com/parry-security/parry/internal/notify"
)

// The bounds that Parry keeps to itself in a custom notification: chat clients cut what
// is much longer.
const (
	maxTitle       = 250  // bytes
	maxDescription = 3000 // bytes
	maxValue       = 600  // bytes of one line
	maxItems       = 10   // of a list
	maxRows        = 10   // of a table
	maxRow         = 240  // bytes
)

// Custom is a custom notification of Amazon Q Developer in chat applications, formerly
// AWS Chatbot:
// https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html
type Custom struct {
	Version  string         `json:"version"` // 1.0
	Source   string         `json:"source"`  // custom
	ID       string         `json:"id,omitempty"`
	Content  CustomContent  `json:"content"`
	Metadata CustomMetadata `json:"metadata"`
}

// CustomContent is what people see.
type CustomContent struct {
	TextType    string   `json:"textType"` // client-markdown
	Title       string   `json:"title"`
	Description string   `json:"description"`
	NextSteps   []string `json:"nextSteps,omitempty"`
	Keywords    []string `json:"keywords,omitempty"`
}

// CustomMetadata puts a notification in its place. Messages with the same ThreadID stand
// in one thread.
type CustomMetadata struct {
	ThreadID          string            `json:"threadId,omitempty"`
	Summary           string            `json:"summary"`
	EventType         string            `json:"eventType,omitempty"`
	RelatedResources  []string          `json:"relatedResources,omitempty"`
	AdditionalContext map[string]string `json:"additionalContext,omitempty"`
}

// custom gives m as a custom notification. Text from outside stands escaped, in
// backquotes.
func custom(m notify.Message) (string, error) {
	c := m.Content
	out := Custom{
		Version: "1.0", Source: "custom", ID: m.ID,
		Content: CustomContent{TextType: "client-markdown", Title: notify.Markup(m.Subject, maxTitle)},
		Metadata: CustomMetadata{
			ThreadID: m.Thread, Summary: notify.Markup(m.Subject, maxTitle), EventType: strings.ReplaceAll(m.Status, " ", "-"),
			AdditionalContext: map[string]string{"notification": m.ID},
		},
	}
	if m.Test {
		out.Metadata.AdditionalContext["test"] = "true"
	}
	var d description
	d.add(notify.Markup(c.Notice, maxValue))
	d.add(notify.Markup(c.Lead, maxValue))
	for _, group := range c.Groups {
		d.add("")
		for _, f := range group {
			d.add("*" + f.Name + ":* " + notify.Code(f.Value, maxValue))
			switch f.Name {
			case "Resource":
				out.Metadata.RelatedResources = another(out.Metadata.RelatedResources, notify.Markup(f.Value, maxValue))
			case "Control", "Severity", "Account", "Region":
				out.Content.Keywords = another(out.Content.Keywords, notify.Markup(f.Value, maxValue))
			}
		}
	}
	if len(c.Table.Rows) > 0 {
		d.add("")
	}
	for _, row := range notify.Lines(c.Table, maxRow) {
		d.add(row)
	}
	d.add(notify.Markup(c.Note, maxValue))
	if c.Reason != "" {
		d.add("*Reason:* " + notify.Code(c.Reason, 2*maxValue))
	}
	if c.Detail != "" {
		d.add("*Detail:* " + notify.Code(c.Detail, 2*maxValue))
	}
	out.Content.Description = strings.TrimSpace(d.String())
	for _, command := range c.Next {
		out.Content.NextSteps = another(out.Content.NextSteps, notify.Code(command, maxValue))
	}
	raw, err := json.Marshal(out)
	return string(raw), err
}

// another adds s to list unless it is there, or the list is long.
func another(list []string, s string) []string {
	for _, v := range list {
		if v == s {
			return list
		}
	}
	if s == "" || len(list) == maxItems {
		return list
	}
	return append(list, s)
}

// description is lines up to maxDescription; what does not fit is left out, whole lines.
type description struct {
	strings.Builder
	full bool
}

func (d *description) add(line string) {
	switch {
	case d.full || line == "" && d.Len() == 0:
	case d.Len()+len(line)+len("\n…") > maxDescription:
		d.WriteString("…")
		d.full = true
	default:
		d.WriteString(line + "\n")
	}
}
