package finding_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
)

// datePattern is what Security Hub says of a timestamp that is none.
const datePattern = `"(\d\d\d\d)-[0-1](\d)-[0-3](\d)[Tt](?:[0-2](\d):[0-5](\d):[0-5](\d)|23:59:60)(?:\.(\d)+)?(?:[Zz]|[+-](\d\d)(?::?(\d\d))?)$"`

func TestValidateTexts(t *testing.T) {
	t.Parallel()
	many := func(n int) map[string]any {
		m := map[string]any{}
		for i := range n {
			m["k"+strconv.Itoa(i)] = "v"
		}
		return m
	}
	resources := func(n int) []any {
		out := []any{}
		for range n {
			out = append(out, obj("Type", "Other", "Id", "x"))
		}
		return out
	}
	for name, tc := range map[string]struct {
		set  map[string]any
		want string
	}{
		"valid":               {nil, ""},
		"no types is valid":   {obj("Types", nil), ""},
		"severity in fpf":     {obj("Severity", nil, "FindingProviderFields", obj("Severity", obj("Normalized", 5))), ""},
		"title missing":       {obj("Title", nil), "data should have required property 'Title'"},
		"title long":          {obj("Title", strings.Repeat("é", 257)), "data.Title should NOT be longer than 256 characters"},
		"title at limit":      {obj("Title", strings.Repeat("é", 256)), ""},
		"title empty":         {obj("Title", ""), "data.Title should NOT be shorter than 1 characters"},
		"title blank":         {obj("Title", "  "), `data.Title should match pattern ".*\S.*"`},
		"title number":        {obj("Title", 5), "data.Title should be string"},
		"description long":    {obj("Description", strings.Repeat("x", 1025)), "data.Description should NOT be longer than 1024 characters"},
		"schema version":      {obj("SchemaVersion", "2020-01-01"), "data.SchemaVersion should be equal to one of the allowed values"},
		"account":             {obj("AwsAccountId", "11112222333x"), `data.AwsAccountId should match pattern "^[0-9]{12}$"`},
		"time":                {obj("UpdatedAt", "yesterday"), "data.UpdatedAt should match pattern " + datePattern},
		"types pattern":       {obj("Types", []any{""}), `data.Types[0] should NOT be shorter than 1 characters`},
		"types slashes":       {obj("Types", []any{"a/b/c/d"}), `data.Types[0] should match pattern "^([^/]+)(/[^/]+){0,2}$"`},
		"types too many":      {obj("Types", make51()), "data.Types should NOT have more than 50 items"},
		"no resources":        {obj("Resources", []any{}), "data.Resources should NOT have fewer than 1 items"},
		"resources too many":  {obj("Resources", resources(33)), "data.Resources should NOT have more than 32 items"},
		"resource without id": {obj("Resources", []any{obj("Type", "Other")}), "data.Resources[0] should have required property 'Id'"},
		"resource type empty": {obj("Resources", []any{obj("Type", "", "Id", "x")}), "data.Resources[0].Type should NOT be shorter than 1 characters"},
		"resources object":    {obj("Resources", obj()), "data.Resources should be array"},
		"details list":        {obj("Resources", []any{obj("Type", "Other", "Id", "x", "Details", []any{})}), "data.Resources[0].Details should be object"},
		"severity missing":    {obj("Severity", nil), "data should have required property 'Severity', data should have required property 'FindingProviderFields', data should match some schema in anyOf"},
		"severity says none":  {obj("Severity", obj("Product", 3)), "data should have required property 'FindingProviderFields', data should match some schema in anyOf"},
		"severity label":      {obj("Severity", obj("Label", "URGENT")), "data.Severity.Label should be equal to one of the allowed values"},
		"severity number":     {obj("Severity", obj("Normalized", 101)), "data.Severity.Normalized should be <= 100"},
		"confidence":          {obj("Confidence", -1), "data.Confidence should be >= 0"},
		"confidence half":     {obj("Confidence", 1.5), "data.Confidence should be integer"},
		"compliance":          {obj("Compliance", obj("Status", "BAD")), "data.Compliance.Status should be equal to one of the allowed values"},
		"workflow":            {obj("Workflow", obj("Status", "DONE")), "data.Workflow.Status should be equal to one of the allowed values"},
		"record state":        {obj("RecordState", "GONE"), "data.RecordState should be equal to one of the allowed values"},
		"recommendation":      {obj("Remediation", obj("Recommendation", obj("Text", strings.Repeat("x", 513)))), "data.Remediation.Recommendation.Text should NOT be longer than 512 characters"},
		"product fields":      {obj("ProductFields", many(51)), "data.ProductFields should NOT have more than 50 properties"},
		"product field value": {obj("ProductFields", obj("a b", strings.Repeat("x", 2049))), "data.ProductFields['a b'] should NOT be longer than 2048 characters"},
		"product field key":   {obj("ProductFields", obj(strings.Repeat("k", 129), "v")), "data.ProductFields['" + strings.Repeat("k", 64) + "…'] should NOT have a key longer than 128 characters"},
		"user field value":    {obj("UserDefinedFields", obj("a", strings.Repeat("x", 1025))), "data.UserDefinedFields['a'] should NOT be longer than 1024 characters"},
		"note":                {obj("Note", obj("Text", "x")), "data.Note should have required property 'UpdatedBy', data.Note should have required property 'UpdatedAt'"},
		"product arn":         {obj("ProductArn", "arn:aws:s3:::bucket/x"), `data.ProductArn should match pattern "arn:PARTITION:securityhub:REGION:ACCOUNT:product/COMPANY/PRODUCT"`},
		"zero byte":           {obj("Id", "a\x00b"), `data.Id should match pattern "^[^\x00]*$"`},
		"sample":              {obj("Sample", "yes"), "data.Sample should be boolean"},
		"two at once":         {obj("Title", nil, "Region", 1), "data should have required property 'Title', data.Region should be string"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := minimal(t, tc.set).Validate()
			got := ""
			if err != nil {
				got = err.Error()
				if !fault.Is(err, fault.Invalid) {
					t.Errorf("code %s, want invalid", fault.CodeOf(err))
				}
			}
			want := tc.want
			if want != "" {
				want = "Finding does not adhere to Amazon Finding Format. " + want + "."
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func make51() []any {
	out := make([]any, 51)
	for i := range out {
		out[i] = "a/b"
	}
	return out
}

func TestRefusalIsBounded(t *testing.T) {
	t.Parallel()
	types := make([]any, 50)
	for i := range types {
		types[i] = "/"
	}
	if n := len(minimal(t, obj("Types", types)).Validate().Error()); n > 2000 {
		t.Errorf("message of %d bytes", n)
	}
	e := finding.Refuse(strings.Repeat("x", 1000), finding.CodeInvalidInput, "m")
	if len(e.Id) != 512 {
		t.Errorf("id of %d characters", len(e.Id))
	}
}
