package securityhub

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/control"
)

// The shapes of AWS's model: one member by the parameter's type, numbers as
// numbers, false and no default told apart.
func TestParameterShapes(t *testing.T) {
	t.Parallel()
	for id, want := range map[string][2]string{
		"EC2.18": {
			`{"authorizedTcpPorts":{"Description":"Authorized tcp ports","ConfigurationOptions":{"IntegerList":{"DefaultValue":[80,443],"Min":1,"Max":65535,"MaxItems":32}}},` +
				`"authorizedUdpPorts":{"Description":"Authorized udp ports","ConfigurationOptions":{"IntegerList":{"Min":1,"Max":65535,"MaxItems":32}}}}`,
			`{"authorizedTcpPorts":{"ValueType":"DEFAULT","Value":{"IntegerList":[80,443]}},"authorizedUdpPorts":{"ValueType":"DEFAULT"}}`,
		},
		"CloudWatch.15": {
			`{"insufficientDataActionRequired":{"Description":"Insufficient data action required","ConfigurationOptions":{"Boolean":{"DefaultValue":false}}},` +
				`"okActionRequired":{"Description":"Ok action required","ConfigurationOptions":{"Boolean":{"DefaultValue":false}}}}`,
			`{"insufficientDataActionRequired":{"ValueType":"DEFAULT","Value":{"Boolean":false}},"okActionRequired":{"ValueType":"DEFAULT","Value":{"Boolean":false}}}`,
		},
		"ELB.10": {
			`{"minAvailabilityZones":{"Description":"Min availability zones","ConfigurationOptions":{"Enum":{"DefaultValue":"2","AllowedValues":["2","3","4","5","6"]}}}}`,
			`{"minAvailabilityZones":{"ValueType":"DEFAULT","Value":{"Enum":"2"}}}`,
		},
		"RDS.14": {
			`{"BacktrackWindowInHours":{"Description":"Backtrack window in hours","ConfigurationOptions":{"Double":{"Min":0.1,"Max":72}}}}`,
			`{"BacktrackWindowInHours":{"ValueType":"DEFAULT"}}`,
		},
		"S3.1": {`{}`, `{}`},
	} {
		d, ok := control.Lookup(id)
		if !ok {
			t.Fatalf("there is no %s", id)
		}
		for i, v := range []any{parameterDefinitions(d.Parameters), parameterDefaults(d.Parameters)} {
			raw, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want[i], string(raw)); diff != "" {
				t.Errorf("%s: %s", id, diff)
			}
		}
	}
}
