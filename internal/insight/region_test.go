package insight_test

import (
	"encoding/json"
	"testing"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/insight"
)

// TestRegionsAreThoseOfThePartition: limits are counted by Region, so one that does not
// exist is no way around them.
func TestRegionsAreThoseOfThePartition(t *testing.T) {
	t.Parallel()
	desk, _ := setup(t)
	name, by := "n", "Id"
	create := func(region, id string) (error, error) {
		_, err := desk.CreateInsight(t.Context(), insight.Change{Name: &name, GroupBy: &by, Filters: json.RawMessage(`{"Title":[{"Value":"x","Comparison":"EQUALS"}]}`)}, region, "ada")
		_, err2 := desk.CreateAction(t.Context(), insight.NewAction{ID: id, Name: id, Description: "d"}, region, "ada")
		return err, err2
	}
	for i, region := range []string{"", "us-west-1", "eu-central-1", "af-south-1"} {
		if err, err2 := create(region, "a"+string(rune('0'+i))); err != nil || err2 != nil {
			t.Errorf("%q: %v, %v", region, err, err2)
		}
	}
	for _, region := range []string{"eu-west-99", "us-east-1a", "aws-global", "cn-north-1", "us-gov-west-1", "x", "EU-WEST-1", "eu-west-1\n"} {
		err, err2 := create(region, "bad")
		if !fault.Is(err, fault.Invalid) || !fault.Is(err2, fault.Invalid) || fault.HintOf(err) == "" {
			t.Errorf("%q: %v, %v", region, err, err2)
		}
	}
}
