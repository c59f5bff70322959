package app

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/awsfront/securityhub"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// Findings go when neither their provider nor anybody else wrote them for as
// long as the configuration says; 0 keeps them.
func TestFindingsAreKeptAsConfigured(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		keep config.Retention
		days int
		want string
	}{
		"all are young":         {config.Retention{ActiveDays: 90, ArchivedDays: 30}, 29, "ACTIVE ARCHIVED "},
		"archived ones are old": {config.Retention{ActiveDays: 90, ArchivedDays: 30}, 31, "ACTIVE "},
		"all are old":           {config.Retention{ActiveDays: 90, ArchivedDays: 30}, 91, ""},
		"for ever":              {config.Retention{}, 5000, "ACTIVE ARCHIVED "},
		"only archived":         {config.Retention{ArchivedDays: 1}, 5000, "ACTIVE "},
		"by default":            {config.Default().Retention, 200, "ACTIVE "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var docs []json.RawMessage
			for _, state := range []string{"ACTIVE", "ARCHIVED"} {
				f, err := finding.Parse(sampleFindings(t)[1])
				if err != nil {
					t.Fatal(err)
				}
				docs = append(docs, f.With("Id", state).With("RecordState", state).With("UpdatedAt", finding.FormatTime(noon)).JSON())
			}
			f := newFinder(t, docs)
			if got := f.all(t, securityhub.Query{Accounts: store.AllAccounts(), Limit: 10}); len(got) != 2 {
				t.Fatalf("%d findings", len(got))
			}
			s, _ := f.store.(*store.Store)
			clock, _ := f.clock.(*service.FixedClock)
			// The store's own clock is the system's: what it wrote just now must not
			// look younger than what is asked.
			clock.Advance(time.Now().AddDate(0, 0, tc.days).Sub(clock.Now()))
			h := &housekeeping{s: &Server{store: s, clock: clock, cfg: config.Config{Retention: tc.keep}}}
			if err := h.prune(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, id := range f.all(t, securityhub.Query{Accounts: store.AllAccounts(), Limit: 10, Sort: []securityhub.SortCriterion{{Field: "Id", SortOrder: "asc"}}}) {
				got += id + " "
			}
			if got != tc.want {
				t.Errorf("after %d days: %q, want %q", tc.days, got, tc.want)
			}
		})
	}
}
