package api_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
)

func TestBusRulesAreListed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.as(t, "admin", "*")
	buses, err := c.EventBuses(t.Context(), client.Paging{})
	if err != nil || len(buses.Items) != 1 || buses.Items[0].Name != "default" {
		t.Fatalf("%+v, %v", buses, err)
	}
	rules, err := c.BusRules(t.Context(), "default", "", client.Paging{Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	want := []api.BusRule{
		{Name: "orders", Bus: "default", Pattern: `{"source":["a"]}`, Targets: []api.BusRuleTarget{{ID: "1", ARN: "arn:aws:parry:us-east-1:111122223333:playbook/S3.8", Input: "{}"}}, Transformers: "parry", Dropped: 3, DroppedWhy: "a loop"},
		{Name: "settings", Bus: "default", Enabled: true, Configured: true, Schedule: "rate(1 day)", Targets: []api.BusRuleTarget{}, Transformers: "parry", Dropped: 3, DroppedWhy: "a loop"},
	}
	if diff := cmp.Diff(want, rules.Items); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	if one, err := c.BusRules(t.Context(), "default", "", client.Paging{Limit: 1}); err != nil || len(one.Items) != 1 {
		t.Errorf("%+v, %v", one, err)
	}
	if _, err := c.BusRules(t.Context(), "none", "", client.Paging{}); !fault.Is(err, fault.NotFound) {
		t.Errorf("a bus that is not there: %v", err)
	}
	// The bus is the installation's: neither accounts nor a source's role are enough.
	for name, who := range map[string]*client.Client{"of one account": b.as(t, "reader", dev), "a source": b.as(t, "source", "*")} {
		if _, err := who.BusRules(t.Context(), "default", "", client.Paging{}); !fault.Is(err, fault.Denied) {
			t.Errorf("%s lists rules: %v", name, err)
		}
		if _, err := who.EventBuses(t.Context(), client.Paging{}); !fault.Is(err, fault.Denied) {
			t.Errorf("%s lists buses: %v", name, err)
		}
	}
}
