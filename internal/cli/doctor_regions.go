package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/org"
)

// optInRegions are those of the configuration that an account may have off.
func optInRegions(cfg config.Config) []string {
	return slices.DeleteFunc(app.CoveredRegions(cfg), org.AlwaysOn)
}

// regionsSaid keeps what an account said of its Regions.
func regionsSaid(on map[string]bool, err error) *org.Regions {
	if err != nil {
		return &org.Regions{Refused: err.Error()}
	}
	return &org.Regions{On: on}
}

// checkRegions says of each Region in how many accounts it is off. That is nothing to
// mend; that an account does not say it, is.
func checkRegions(regions []string, said []*org.Regions) []check {
	said = slices.DeleteFunc(slices.Clone(said), func(r *org.Regions) bool { return r == nil })
	if len(said) == 0 {
		return nil
	}
	c := check{Name: "regions", Status: checkOK}
	var parts []string
	for _, region := range regions {
		off, strange := 0, 0
		for _, r := range said {
			switch on, known := r.On[region]; {
			case known && !on:
				off++
			case !known && r.On != nil:
				strange++
			}
		}
		if off > 0 {
			parts = append(parts, fmt.Sprintf("%s is off in %d of %d accounts, where nothing is seen or done", region, off, len(said)))
		}
		if strange > 0 {
			c.Status, c.Next = checkWarning, "look at organization.coverage.regions in parry.yaml"
			parts = append(parts, fmt.Sprintf("%d accounts know no Region %s", strange, region))
		}
	}
	refused := slices.IndexFunc(said, func(r *org.Regions) bool { return r.On == nil })
	if refused >= 0 {
		c.Status = checkWarning
		c.Next = "let the member role do ec2:DescribeRegions: write its template anew with parry org connect"
		parts = append(parts, "not every account says which of its Regions are on: "+said[refused].Refused)
	}
	c.Detail = strings.Join(parts, "; ")
	if len(parts) == 0 {
		c.Detail = strings.Join(regions, ", ") + " on in every account that was asked"
	}
	return []check{c}
}
