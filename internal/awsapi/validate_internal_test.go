package awsapi

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
)

func TestParamErrorNamesEachPlace(t *testing.T) {
	t.Parallel()
	s, op, err := catalog(t).Find("s3", "PutPublicAccessBlock")
	if err != nil {
		t.Fatal(err)
	}
	err = validateInput(s, op, map[string]any{"Bukket": "b", "PublicAccessBlockConfiguration": map[string]any{"BlockPublicAcls": 1, "X": nil}})
	var e *ParamError
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	var paths []string
	for _, p := range e.Problems {
		paths = append(paths, p.Path)
	}
	want := []string{"", "", "PublicAccessBlockConfiguration", "PublicAccessBlockConfiguration.BlockPublicAcls"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
	if first, _, _ := strings.Cut(e.Error(), "\nUnknown"); first != "Parameter validation failed:\nMissing required parameter in input: \"Bucket\"" {
		t.Error(first)
	}
}

func TestValidationLimits(t *testing.T) {
	t.Parallel()
	s, op, err := catalog(t).Find("dynamodb", "PutItem")
	if err != nil {
		t.Fatal(err)
	}
	var deep any = map[string]any{"S": "x"}
	for range 500 {
		deep = map[string]any{"L": []any{deep}}
	}
	err = validateInput(s, op, map[string]any{"TableName": "t", "Item": map[string]any{"a": deep}})
	if err == nil || !strings.Contains(err.Error(), "nested more than") {
		t.Errorf("deep: got %v", err)
	}
	err = validateInput(s, op, map[string]any{"TableName": []any{strings.Repeat("x", 1<<20)}, "Item": map[string]any{}})
	if err == nil || len(err.Error()) > 3000 {
		t.Errorf("a message of %d bytes", len(err.Error()))
	}
}

func FuzzValidate(f *testing.F) {
	c := catalog(f)
	ops := []string{"dynamodb:PutItem", "s3:PutBucketAcl", "securityhub:BatchImportFindings", "ec2:RunInstances", "bedrock-agent:CreateDataSource", "lex-runtime:PostContent"}
	for i, text := range []string{
		`{"TableName":"t","Item":{"k":{"S":1}}}`, `{"Bucket":"b","AccessControlPolicy":{"Grants":[{"Grantee":{"Type":"x"}}]}}`, `{"Findings":[{"Severity":{"Product":"1.5"}}]}`,
		`{"MinCount":"1","MaxCount":true,"UserData":"x"}`, `{"dataSourceConfiguration":{}}`, `{"sessionAttributes":{"a":1}}`, `{"a":null}`, `[]`,
	} {
		f.Add(uint8(i), text, true)
	}
	f.Fuzz(func(t *testing.T, which uint8, text string, loose bool) {
		var in map[string]any
		if json.Unmarshal([]byte(text), &in) != nil {
			return
		}
		service, operation, _ := strings.Cut(ops[int(which)%len(ops)], ":")
		s, op, err := c.Find(service, operation)
		if err != nil {
			t.Fatal(err)
		}
		if loose {
			in, _ = coerce(apimodel.Member{Shape: op.Input}, in, 0).(map[string]any)
		}
		if err := validateInput(s, op, in); err != nil {
			return
		}
		// What validates can be written.
		rt, err := newRuntime(s, s.Protocol)
		if err != nil {
			t.Fatal(err)
		}
		o, err := rt.operation(op)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rt.write(t.Context(), o, in); err != nil {
			t.Errorf("valid input %s was not written: %v", text, err)
		}
	})
}
