package route

import (
	"encoding/json"
	"testing"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
)

// FuzzFindings reads any text as the detail of an event of findings: each finding stands
// alone, within the limit, and a text that is none is refused for good.
func FuzzFindings(f *testing.F) {
	for _, text := range []string{
		`{"findings":[{"Id":"a","ProductArn":"p"},{"Id":"b"}]}`, `{"findings":[null]}`, `{"findings":{}}`, `{"findings":[{}],"findings":[{},{}]}`, `[]`, `{"Findings":[{"Id":"<b>"}],"actionName":"x"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, detail []byte) {
		e := bus.Event{ID: "e", Source: bus.SourceSecurityHub, DetailType: bus.FindingsImported, Account: "111122223333", Detail: json.RawMessage(detail)}
		text, err := json.Marshal(e)
		if err != nil {
			return // it cannot have come as an event
		}
		table := Compile([]Rule{{
			ID: "all", Pattern: json.RawMessage(`{"detail":{"findings":{"Id":[{"exists":true}]}},"source":["aws.securityhub"]}`), Enabled: true,
			Targets: []Target{{Kind: Channel, Name: "a"}},
		}}, Known{})
		matched, err := table.match(text)
		if err != nil {
			return
		}
		list, err := (&handling{table: table, event: e, matched: matched}).parseFindings()
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("code %s: %v", fault.CodeOf(err), err)
			}
			return
		}
		if len(list) > MaxFindings {
			t.Errorf("%d findings", len(list))
		}
		for i, one := range list {
			if one.err != nil {
				t.Errorf("finding %d: %v", i, one.err)
			}
		}
	})
}
