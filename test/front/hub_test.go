package front_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/parry-security/parry/test/testenv/envtest"
)

// hub: history, members, administrator and aggregator as boto3 sees them.
func (s *server) hub(t *testing.T) {
	python := envtest.Needs(t)
	as := func(name, op string, args map[string]any) pyCall {
		return pyCall{ID: s.keys[name].ID, Secret: s.keys[name].Secret, Op: op, Args: args}
	}
	id := func(id string) map[string]any {
		return map[string]any{"FindingIdentifier": map[string]any{"Id": id, "ProductArn": product}}
	}
	doc := example("hub-history", dev)
	found := map[string]any{"Id": []any{map[string]string{"Value": "hub-history", "Comparison": "EQUALS"}}}
	update := map[string]any{
		"FindingIdentifiers": []any{map[string]string{"Id": "hub-history", "ProductArn": product}}, "Workflow": map[string]string{"Status": "NOTIFIED"},
	}
	late := id("hub-history")
	late["StartTime"] = "2126-01-01T00:00:00Z"
	steps := []struct {
		call pyCall
		want string // words of the answer, or of the error
	}{
		{as("source", "batch_import_findings", map[string]any{"Findings": []any{doc}}), "SuccessCount:1"},
		{as("admin", "get_findings", map[string]any{"Filters": found}), "hub-history"},
		{as("admin", "batch_update_findings", update), "UnprocessedFindings:[]"},
		{as("dev-reader", "get_finding_history", id("hub-history")), "Records:[map[FindingCreated:false"},
		{as("dev-reader", "get_finding_history", id("hub-history")), "Type:BATCH_UPDATE_FINDINGS"},
		{as("dev-reader", "get_finding_history", id("hub-history")), "UpdatedField:Workflow"},
		{as("dev-reader", "get_finding_history", id("hub-history")), "FindingCreated:true"},
		{as("reader", "get_finding_history", late), "Records:[]"},
		{as("dev-reader", "get_finding_history", id("base-prod")), "404 ResourceNotFoundException"},
		{as("dev-reader", "get_finding_history", id("nothing")), "404 ResourceNotFoundException"},
		{as("revoked", "get_finding_history", id("hub-history")), "403 UnrecognizedClientException"},
		{as("admin", "list_members", nil), "AccountId:" + dev},
		{as("admin", "list_members", map[string]any{"MaxResults": 1}), "NextToken:"},
		{as("dev-reader", "list_members", nil), "AccountId:" + dev},
		{as("admin", "list_members", map[string]any{"MaxResults": 51}), "400 InvalidInputException"},
		{as("dev-reader", "get_members", map[string]any{"AccountIds": []any{dev, prod}}), "UnprocessedAccounts:[map[AccountId:" + prod},
		{as("admin", "get_administrator_account", nil), ""},
		{as("admin", "list_organization_admin_accounts", nil), "AccountId:" + hubAccount + " Status:ENABLED"},
		{as("admin", "describe_organization_configuration", nil), "ConfigurationType:LOCAL"},
		{as("admin", "list_finding_aggregators", nil), ":" + hubAccount + ":finding-aggregator/"},
		{as("admin", "get_finding_aggregator", map[string]any{"FindingAggregatorArn": "arn:aws:securityhub:us-east-1:1:finding-aggregator/x"}), "404 ResourceNotFoundException"},
		{as("admin", "list_enabled_products_for_import", nil), "product-subscription/aws/guardduty"},
		{as("dev-source", "list_enabled_products_for_import", nil), "ProductSubscriptions:[arn:aws:securityhub:us-east-1:" + dev + ":product-subscription/aws/securityhub]"},
		{as("dev-source", "describe_products", nil), "ProductArn:" + product},
		{as("dev-source", "enable_import_findings_for_product", map[string]any{"ProductArn": product}), ":product-subscription/aws/securityhub"},
		{as("dev-source", "enable_import_findings_for_product", map[string]any{"ProductArn": "arn:aws:securityhub:us-east-1::product/aws/guardduty"}), "400 InvalidInputException"},
		{as("admin", "disable_import_findings_for_product", map[string]any{"ProductSubscriptionArn": "x"}), "401 InvalidAccessException"},
		{as("admin", "list_invitations", nil), "Invitations:[]"},
	}
	var calls []pyCall
	for _, step := range steps {
		calls = append(calls, step.call)
	}
	answers := s.python(t, python, calls)
	for i, got := range answers {
		text := fmt.Sprint(got.Status, " ", got.Code, " ", got.Answer)
		if !strings.Contains(text, steps[i].want) {
			t.Errorf("%s: %s %s; want %q", steps[i].call.Op, text, got.Message, steps[i].want)
		}
		if steps[i].call.ID == s.keys["dev-reader"].ID && steps[i].call.Op == "list_members" && strings.Contains(text, prod) {
			t.Errorf("a key for dev sees prod: %s", text)
		}
	}
	for _, got := range answers {
		list, _ := got.Answer["FindingAggregators"].([]any)
		if len(list) != 1 {
			continue
		}
		one, _ := list[0].(map[string]any)
		again := s.python(t, python, []pyCall{as("admin", "get_finding_aggregator", map[string]any{"FindingAggregatorArn": one["FindingAggregatorArn"]})})
		if again[0].Status != 200 || again[0].Answer["RegionLinkingMode"] != "ALL_REGIONS" {
			t.Errorf("%+v", again)
		}
	}
}
