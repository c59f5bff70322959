package rehearse_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/rehearse"
)

// world keeps the calls that it gets, and answers by operation.
type world struct {
	calls   []string
	answers map[string]map[string]any
	refuses map[string]string // operation -> error code
	resets  int
}

func (w *world) Call(_ context.Context, c apimodel.Call) (apimodel.Reply, error) {
	w.calls = append(w.calls, c.Account+"/"+c.Region+" "+c.Service+":"+c.Operation)
	if code := w.refuses[c.Operation]; code != "" {
		return apimodel.Reply{}, &apimodel.APIError{Operation: c.Operation, Code: code}
	}
	return apimodel.Reply{Output: w.answers[c.Operation]}, nil
}

func (w *world) Reset(context.Context) error { w.resets++; return nil }

// engine gives a result, after it changed the world.
type engine struct {
	got    rehearse.Request
	result rehearse.Result
	then   func()
}

func (e *engine) Run(_ context.Context, r rehearse.Request) (rehearse.Result, error) {
	e.got = r
	if e.then != nil {
		e.then()
	}
	return e.result, nil
}

const document = `schemaVersion: '0.3'
assumeRole: '{{ AutomationAssumeRole }}'
parameters:
  KeyId: {type: String}
  AutomationAssumeRole: {type: String, default: ''}
outputs: [Rotate.Answer]
mainSteps:
  - name: Rotate
    action: aws:executeAwsApi
    inputs: {Service: kms, Api: EnableKeyRotation, KeyId: '{{ KeyId }}'}
    outputs: [{Name: Answer, Selector: $.Answer, Type: StringMap}]
`

const rotation = `document: runbook.yaml
region: eu-west-1
fixtures:
  - call: kms:CreateKey
    save: {key: $.KeyMetadata.KeyId}
parameters: {KeyId: '{{ key }}'}
state:
  - call: kms:GetKeyRotationStatus
    input: {KeyId: '{{ key }}'}
    expect: {KeyRotationEnabled: true}
outputs:
  Rotate.Answer: {done: 'yes'}
calls:
  - call: kms:EnableKeyRotation
    input: {KeyId: '{{ key }}'}
`

// folder writes a document and its test.yaml.
func folder(t *testing.T, test string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "Acme-Rotate")
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"runbook.yaml": document, "test.yaml": test} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestACaseMakesItsWorldRunsAndReadsTheEnd(t *testing.T) {
	t.Parallel()
	w := &world{answers: map[string]map[string]any{
		"CreateKey": {"KeyMetadata": map[string]any{"KeyId": "k-1"}}, "GetKeyRotationStatus": {"KeyRotationEnabled": false},
	}}
	e := &engine{
		result: rehearse.Result{
			Status: "Success", Outputs: map[string][]string{"Rotate.Answer": {`{"done":"yes","more":1}`}},
			Changes: []apimodel.Call{{Service: "kms", Operation: "EnableKeyRotation", Input: map[string]any{"KeyId": "k-1"}}},
		},
		then: func() { w.answers["GetKeyRotationStatus"] = map[string]any{"KeyRotationEnabled": true} },
	}
	reports, err := rehearse.New(rehearse.Config{World: w, Engine: e}).Run(t.Context(), folder(t, rotation))
	if err != nil {
		t.Fatal(err)
	}
	if len(reports) != 1 || !reports[0].Passed || reports[0].Document != "Acme-Rotate" {
		t.Errorf("reports: %+v", reports)
	}
	at := "123456789012/eu-west-1 "
	if diff := cmp.Diff([]string{at + "iam:CreateRole", at + "kms:CreateKey", at + "kms:GetKeyRotationStatus", at + "kms:GetKeyRotationStatus"}, w.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"KeyId": "k-1", "AutomationAssumeRole": "arn:aws:iam::123456789012:role/parry-runbook-test"}, e.got.Parameters); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	if w.resets != 1 || e.got.Region != "eu-west-1" || !strings.Contains(e.got.Document.Content, "EnableKeyRotation") {
		t.Errorf("%d resets, request %+v", w.resets, e.got)
	}
}

func TestWhatIsOtherwiseIsNamed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		test    string
		refuses map[string]string
		result  rehearse.Result
		enabled bool // the state before the run
		want    []string
	}{
		"another end": {
			test: rotation, enabled: true, result: rehearse.Result{Status: "Failed", Failure: "no such key"},
			want: []string{
				"it ended Failed, want Success: no such key", "the state holds before the run", "output Rotate.Answer: $: want {\"done\":\"yes\"}, got []",
				"it made 0 calls, want 1",
			},
		},
		"a state that does not come": {
			test: strings.Split(rotation, "outputs:")[0], result: rehearse.Result{Status: "Success"},
			want: []string{"state[0] kms:GetKeyRotationStatus: KeyRotationEnabled: want true, got false"},
		},
		"a fixture that fails": {
			test: rotation, refuses: map[string]string{"CreateKey": "LimitExceededException"}, want: []string{"fixtures[0] kms:CreateKey:"},
		},
		"an error that was expected elsewhere": {
			test:   strings.Replace(strings.Split(rotation, "outputs:")[0], "expect: {KeyRotationEnabled: true}", "error: NotFoundException", 1),
			result: rehearse.Result{Status: "Success"}, want: []string{"state[0] kms:GetKeyRotationStatus: it was answered, want error NotFoundException"},
		},
		"another failure": {
			test: "status: Failed\nfailure: not there\nparameters: {KeyId: k}\n", result: rehearse.Result{Status: "Failed", Failure: "denied"},
			want: []string{`the failure "denied" does not contain "not there"`},
		},
		"another call": {
			test: "calls: [{call: kms:EnableKeyRotation, input: {KeyId: k}}]\nparameters: {KeyId: k}\n",
			result: rehearse.Result{Status: "Success", Changes: []apimodel.Call{{
				Service: "kms", Operation: "EnableKeyRotation", Input: map[string]any{"KeyId": "other"},
			}}},
			want: []string{`calls[0] kms:EnableKeyRotation: KeyId: want "k", got "other"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{refuses: tt.refuses, answers: map[string]map[string]any{
				"CreateKey": {"KeyMetadata": map[string]any{"KeyId": "k-1"}}, "GetKeyRotationStatus": {"KeyRotationEnabled": tt.enabled},
			}}
			reports, err := rehearse.New(rehearse.Config{World: w, Engine: &engine{result: tt.result}}).Run(t.Context(), folder(t, tt.test))
			if err != nil {
				t.Fatal(err)
			}
			got := reports[0].Problems
			if reports[0].Passed || len(got) != len(tt.want) {
				t.Fatalf("problems: %q, want %q", got, tt.want)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("problem %d is %q, want %q", i, got[i], want)
				}
			}
		})
	}
}

func TestAnswersTakeThePlaceOfAnEmulator(t *testing.T) {
	t.Parallel()
	reports, err := rehearse.New(rehearse.Config{}).Run(t.Context(), folder(t, `cases:
  - name: answered
    parameters: {KeyId: k}
    aws: {'kms:EnableKeyRotation': {Answer: {done: 'yes'}}}
    outputs: {Rotate.Answer: {done: 'yes'}}
    calls: [{call: kms:EnableKeyRotation, input: {KeyId: k}}]
  - name: a parameter is missing
    aws: {}
    status: Failed
  - name: no emulator
    parameters: {KeyId: k}
    status: Failed
`))
	if err != nil {
		t.Fatal(err)
	}
	if !reports[0].Passed {
		t.Errorf("problems: %q", reports[0].Problems)
	}
	if p := reports[1].Problems; len(p) != 1 || !strings.Contains(p[0], "KeyId") {
		t.Errorf("problems of the second: %q", p)
	}
	if p := reports[2].Problems; len(p) != 1 || p[0] != "the case needs an emulator, and there is none" {
		t.Errorf("problems of the third: %q", p)
	}
}

func TestAFileThatCannotBeRunIsRefusedWithItsPlace(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ test, want string }{
		"unknown member":         {"stat: []", "line 1: field stat not found"},
		"unknown call member":    {"fixtures:\n  - call: a:B\n    inputs: {}\n", `line 3: a call has no member "inputs"`},
		"nothing expected":       {"parameters: {}", "it expects nothing"},
		"unknown name":           {"state: [{call: s3:ListBuckets, input: {A: '{{ nobody }}'}}]", "{{ nobody }} is neither saved before"},
		"a name that is given":   {"fixtures: [{call: s3:ListBuckets, save: {account: $.Owner}}]\nstatus: Failed", `"account" is no name that can be given`},
		"no call":                {"state: [{call: ListBuckets}]", "is not service:Operation"},
		"no selector":            {"state: [{call: s3:ListBuckets, select: '$.[', expect: 1}]", "select"},
		"present without select": {"state: [{call: s3:ListBuckets, present: true}]", "present says nothing"},
		"status":                 {"status: Done", `status "Done" is not one of`},
		"account":                {"account: '1'\nstatus: Failed", "12-digit"},
		"answers and fixtures":   {"aws: {}\nfixtures: [{call: s3:ListBuckets}]", "answers take the place"},
		"a file outside":         {"document: ../../etc/passwd\nstatus: Failed", "is not below the folder"},
		"a case's place":         {"cases: [{name: first, status: Failed}, {name: second, region: Mars}]", `case 2 "second": region "Mars"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := rehearse.Parse([]byte(tt.test))
			if err == nil || !strings.Contains(err.Error(), tt.want) || fault.CodeOf(err) != fault.Invalid {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
		})
	}
}

func TestADocumentIsLookedForInFolders(t *testing.T) {
	t.Parallel()
	documents := folder(t, "status: Failed")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "test.yaml"), []byte("document: runbook.yaml\naws: {}\nparameters: {KeyId: k}\ncalls: [{call: kms:EnableKeyRotation}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := rehearse.New(rehearse.Config{}).Run(t.Context(), dir)
	if fault.CodeOf(err) != fault.NotFound || !strings.Contains(fault.HintOf(err), "--documents") {
		t.Errorf("error without the folder: %v", err)
	}
	reports, err := rehearse.New(rehearse.Config{Folders: []string{documents}}).Run(t.Context(), dir)
	if err != nil || !reports[0].Passed {
		t.Errorf("%v, %+v", err, reports)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(rotation))
	f.Add([]byte("cases: [{aws: {}, calls: []}]"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		suite, err := rehearse.Parse(raw)
		if err == nil && len(suite.Cases) == 0 {
			t.Error("a file without cases")
		}
	})
}
