package email

import (
	_ "embed"
	"html/template"
	"strings"

	"github.com/parry-security/parry/internal/notify"
)

//go:embed page.html
var pageText string

// page is the HTML part: styles in place, since many mail readers drop others, and
// nothing from elsewhere.
var page = template.Must(template.New("page").Parse(pageText))

// html gives m as a page.
func html(m notify.Message) (string, error) {
	var b strings.Builder
	err := page.Execute(&b, struct {
		notify.Message
		Colour string
	}{m, colour(m.Status)})
	return b.String(), err
}

// colour tells good from bad beside the word that does; each has a contrast of at least
// 4.5 to white.
func colour(status string) string {
	switch status {
	case "succeeded", "undone":
		return "#1d6b00"
	case "failed", "unverified", "regressed":
		return "#a2191f"
	case "awaiting approval":
		return "#8d6605"
	}
	return "#414d5c"
}
