package ssm_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/awsfront/protocol/protocoltest"
	"github.com/parry-security/parry/internal/awsfront/ssm"
)

// TestInputLimits: nothing of a request gets around the model.
func TestInputLimits(t *testing.T) {
	t.Parallel()
	_, h := ready(t)
	deep := strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)
	for name, c := range map[string]struct{ body, code, words string }{
		"nothing":       {"", "ValidationException", "'documentName'"},
		"no object":     {"[]", "SerializationException", "the request is a list"},
		"no JSON":       {"{", "SerializationException", "not valid JSON"},
		"two":           {`{"DocumentName":"Tag-Bucket"} {}`, "SerializationException", "not valid JSON"},
		"deep":          {deep, "SerializationException", "nested more than 32"},
		"other case":    {`{"documentname":"Tag-Bucket"}`, "ValidationException", "'documentName'"},
		"null":          {`{"DocumentName":null}`, "ValidationException", "Member must not be null"},
		"null in list":  {`{"DocumentName":"Tag-Bucket","Parameters":{"Bucket":[null]}}`, "ValidationException", "must not be null"},
		"number":        {`{"DocumentName":1e999}`, "SerializationException", "should be text"},
		"fraction":      {`{"DocumentName":"Tag-Bucket","TargetLocations":[{"IncludeChildOrganizationUnits":"yes"}]}`, "SerializationException", "should be a Boolean"},
		"many problems": {`{"DocumentName":"!","Mode":"x","ClientToken":"y"}`, "ValidationException", "validation errors detected"},
		"long":          {`{"DocumentName":"` + strings.Repeat("x", 5000) + `"}`, "ValidationException", "…"},
	} {
		_, err := h.Answer(t.Context(), admin(), "StartAutomationExecution", []byte(c.body))
		if err == nil {
			t.Errorf("%s: answered", name)
			continue
		}
		if e := ssm.ErrorOf(err); e.Code != c.code || !strings.Contains(e.Message, c.words) || len(e.Message) > 4096 {
			t.Errorf("%s: %s: %s", name, e.Code, e.Message)
		}
	}
}

// FuzzAnswer gives any body to every operation: each is answered, or refused with
// an error that is the caller's.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{}`, `{"Name":"Tag-Bucket"}`, `{"DocumentName":"Tag-Bucket","Parameters":{"Bucket":["my-bucket"]}}`, `{"AutomationExecutionId":"` + uuid1 + `","SignalType":"Resume"}`,
		`{"Filters":[{"Key":"Owner","Values":["Self"]}],"NextToken":"AAAA"}`, `{"Filters":[{"Key":"StartTimeAfter","Values":["1"]}]}`,
		`{"DocumentName":"Tag-Bucket","TargetLocations":[{"Accounts":["ou-1"],"Regions":["x"],"Targets":[{"Key":"tag:a","Values":[]}]}],"TargetMaps":[{"Bucket":["b"]}]}`,
		`{"ResourceType":"Document","ResourceId":"Tag-Bucket","Tags":[{"Key":"a","Value":"b"}]}`, `{"Name":"X-1","Content":"{\"schemaVersion\":\"0.3\"}"}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_, h := ready(t)
		for _, operation := range h.Operations() {
			value, err := h.Answer(t.Context(), admin(), operation, body)
			if err != nil {
				if e := ssm.ErrorOf(err); e.Status >= 500 {
					t.Errorf("%s: %v", operation, err)
				}
				continue
			}
			raw, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			var out object
			if err := json.Unmarshal(raw, &out); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestEveryOperationIsInTheModel(t *testing.T) {
	t.Parallel()
	_, h := setup(t)
	catalog, err := models()
	if err != nil {
		t.Fatal(err)
	}
	protocoltest.Known(t, catalog, ssm.Service, h.Operations())
}
