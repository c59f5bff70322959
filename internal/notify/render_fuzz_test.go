package notify_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/notify"
)

// FuzzRender renders any event: what stands in a subject is one line without control
// characters, whoever wrote the finding.
func FuzzRender(f *testing.F) {
	for _, e := range []struct{ source, kind, detail string }{
		{bus.SourceSecurityHub, bus.FindingsImported, `{"findings":[{"Id":"a","Title":"x\r\nBcc: y","Severity":{"Label":"HIGH"}}]}`},
		{bus.SourceParry, bus.RemediationChanged, `{"remediation":{"id":"r","state":"verified","kind":"fix"},"from":"running","to":"verified"}`},
		{bus.SourceParry, "Parry Exception Ending", `{"exception":{"id":"e","title":"<script>"}}`},
		{"aws.security-ir", "Case Created", `{"caseId":"1;x","title":"<b>"}`},
		{"other", "Other", `7`},
	} {
		f.Add(e.source, e.kind, []byte(e.detail), "HIGH", "title\n")
	}
	f.Fuzz(func(t *testing.T, source, kind string, detail []byte, severity, title string) {
		m, ok, err := notify.Render(bus.Event{ID: "e", Source: source, DetailType: kind, Account: "111122223333", Region: "eu-west-1", Detail: json.RawMessage(detail)}, severity, title)
		if err != nil || !ok {
			return
		}
		if m.Subject == "" || strings.ContainsFunc(m.Subject, unicode.IsControl) {
			t.Errorf("subject %q", m.Subject)
		}
	})
}
