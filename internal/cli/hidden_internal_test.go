package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/api"
)

// TestWhatIsHiddenIsSaid: the last line of a table says how much it leaves out and how to
// see it, also where nothing is left; beside other output it is said on standard error.
func TestWhatIsHiddenIsSaid(t *testing.T) {
	t.Parallel()
	const note = "7 more in accounts that are suspended, closed or gone; show them with --all-accounts\n"
	counts := api.FindingCounts{Total: 2, Groups: []api.FindingGroup{{Group: map[string]string{"severity": "HIGH"}, Count: 2}}, Hidden: 7}
	none := api.FindingCounts{Groups: []api.FindingGroup{}, Hidden: 7}
	whole := counts
	whole.Hidden = 0
	for name, c := range map[string]struct {
		counts         api.FindingCounts
		format, query  string
		stdout, stderr string // how they end
	}{
		"table":       {counts, "table", "", "total     2\n" + note, ""},
		"nothing":     {none, "table", "", "Nothing to show.\n" + note, ""},
		"whole":       {whole, "table", "", "total     2\n", ""},
		"CSV":         {counts, "csv", "", "total,2\n", note},
		"JSON":        {counts, "json", "", "}\n", note},
		"query":       {counts, "table", "total", "2\n", note},
		"JSON, whole": {whole, "json", "", "}\n", ""},
	} {
		var stdout, stderr bytes.Buffer
		s := &shared{}
		s.Out, s.Err, s.format, s.query = &stdout, &stderr, c.format, c.query
		s.tellHidden(c.counts.Hidden)
		if err := s.print(s.Out, c.counts, func() grid { return countGrid(c.counts, []string{"severity"}) }); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(stdout.String(), c.stdout) || stderr.String() != c.stderr {
			t.Errorf("%s: %q, on standard error %q", name, stdout.String(), stderr.String())
		}
	}
}
