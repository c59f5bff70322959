package email

import (
	_ "embed"
	"html/template"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/notify"
)

//go:embed page.html
var pageText string

// page is the HTML part: styles in place, since many mail readers drop others, and
// nothing from elsewhere. What stands in the head is for readers with a dark theme.
var page = template.Must(template.New("page").Funcs(template.FuncMap{"wide": wide}).Parse(pageText))

// wide reports whether a column's cells are broken into lines.
func wide(column string) bool {
	return slices.Contains([]string{"Resource", "Title", "Reason"}, column)
}

// html gives m as a page.
func html(m notify.Message) (string, error) {
	var b strings.Builder
	err := page.Execute(&b, struct {
		notify.Message
		Tone tone
	}{m, toneOf(m.Status)})
	return b.String(), err
}

// tone tells good from bad beside the word that does. Colour is on white, Class names the
// colour on a dark ground; each has a contrast of at least 4.5.
type tone struct{ Class, Colour string }

func toneOf(status string) tone {
	switch status {
	case "succeeded", "undone":
		return tone{"good", "#1d6b00"}
	case "failed", "unverified", "regressed":
		return tone{"bad", "#a2191f"}
	case "awaiting approval":
		return tone{"waits", "#8d6605"}
	}
	return tone{"plain", "#414d5c"}
}
