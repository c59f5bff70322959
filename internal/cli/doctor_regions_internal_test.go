package cli

import (
	"errors"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/org"
)

// TestRegionsOfDoctor: what is off is told and is fine, what is not known is not.
func TestRegionsOfDoctor(t *testing.T) {
	t.Parallel()
	regions := []string{"eu-south-1", "eu-south-2"}
	on := regionsSaid(map[string]bool{"eu-south-1": true, "eu-south-2": true}, nil)
	off := regionsSaid(map[string]bool{"eu-south-1": false, "eu-south-2": true}, nil)
	odd := regionsSaid(map[string]bool{"eu-south-1": true}, nil)
	mute := regionsSaid(nil, errors.New("refused"))
	for name, c := range map[string]struct {
		said   []*org.Regions
		status string
		want   string
	}{
		"all on":                        {[]*org.Regions{on, on}, checkOK, "eu-south-1, eu-south-2 on in every account that was asked"},
		"one is off":                    {[]*org.Regions{on, off, nil}, checkOK, "eu-south-1 is off in 1 of 2 accounts"},
		"a name that nobody knows":      {[]*org.Regions{odd, on}, checkWarning, "1 accounts know no Region eu-south-2"},
		"one does not say":              {[]*org.Regions{off, mute}, checkWarning, "eu-south-1 is off in 1 of 2 accounts, where nothing is seen or done; not every account says which of its Regions are on: refused"},
		"none says, and nothing is off": {[]*org.Regions{mute}, checkWarning, "not every account says"},
	} {
		got := checkRegions(regions, c.said)
		if len(got) != 1 || got[0].Status != c.status || !strings.Contains(got[0].Detail, c.want) || (got[0].Next == "") != (c.status == checkOK) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := checkRegions(regions, []*org.Regions{nil}); got != nil {
		t.Errorf("nobody was asked: %+v", got)
	}
}
