package insight_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/parry-security/parry/catalog"
	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/insight"
)

func managed(t *testing.T) []insight.Insight {
	t.Helper()
	all, err := insight.LoadManaged(catalog.FS, "aws")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestManagedInsights: every one parses, AWS's are those that its page lists.
func TestManagedInsights(t *testing.T) {
	t.Parallel()
	seen, numbers, own := map[string]bool{}, map[string]bool{}, 0
	for _, i := range managed(t) {
		if seen[i.ARN] || seen[i.Name] || !i.Managed {
			t.Errorf("%s %q is there twice, or not managed", i.ARN, i.Name)
		}
		seen[i.ARN], seen[i.Name] = true, true
		if i.Own() {
			own++
			continue
		}
		numbers[i.Key()] = true
		if i.Overdue() {
			t.Errorf("%s asks what AWS's filters cannot", i.ARN)
		}
		for _, c := range i.Filters.Criteria {
			for _, s := range c.Strings {
				if s.Comparison != filter.Equals && s.Comparison != filter.Prefix || strings.TrimSpace(s.Value) != s.Value {
					t.Errorf("%s: %+v", i.ARN, s)
				}
			}
		}
	}
	for n := 1; n <= 40; n++ {
		gap := n == 2 || n == 4 || n == 5 || n == 15 || n == 20 // numbers that AWS does not use
		if numbers[fmt.Sprint(n)] == gap {
			t.Errorf("insight %d: there %v", n, !gap)
		}
	}
	if len(numbers) != 35 || own < 3 {
		t.Errorf("%d of AWS's, %d of Parry's own", len(numbers), own)
	}
}
