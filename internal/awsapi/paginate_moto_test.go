package awsapi_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
)

// listing is one thing that boto3 and the gate read or wait for.
type listing struct {
	Service   string         `json:"service"`
	Paginator string         `json:"paginator,omitempty"`
	Waiter    string         `json:"waiter,omitempty"`
	Input     map[string]any `json:"input"`
	Config    map[string]int `json:"config,omitempty"`
	Resume    bool           `json:"resume,omitempty"`
}

// TestPagesAndWaitsLikeBoto3 reads listings and waits with boto3 and with a
// session of the gate against moto, and wants the same results and texts.
func TestPagesAndWaitsLikeBoto3(t *testing.T) {
	if testing.Short() {
		t.Skip("starts moto; run `make test`")
	}
	t.Parallel()
	py, address := startMoto(t)
	client := newClient(t, address, nil)
	set := func(service, operation string, in map[string]any) map[string]any {
		t.Helper()
		reply, err := client.Send(t.Context(), testKeys, apimodel.Call{Service: service, Operation: operation, Input: in})
		if err != nil {
			t.Fatal(err)
		}
		return reply.Output
	}
	set("s3", "CreateBucket", map[string]any{"Bucket": "pages"})
	for i := range 7 {
		set("s3", "PutObject", map[string]any{"Bucket": "pages", "Key": fmt.Sprintf("ä %d/x", i), "Body": []byte("x")})
		set("iam", "CreateUser", map[string]any{"UserName": fmt.Sprintf("user-%d", i)})
	}
	started := set("ec2", "RunInstances", map[string]any{"ImageId": "ami-12c6146b", "MinCount": 3, "MaxCount": 3})
	first := started["Instances"].([]any)[0].(map[string]any)["InstanceId"]
	role := set("iam", "CreateRole", map[string]any{"RoleName": "r", "AssumeRolePolicyDocument": "{}"})["Role"].(map[string]any)["Arn"]
	set("lambda", "CreateFunction", map[string]any{"FunctionName": "f", "Role": role, "Runtime": "python3.12", "Handler": "x.y", "Code": map[string]any{"ZipFile": emptyZip}})

	few := map[string]int{"Delay": 1, "MaxAttempts": 2}
	listings := []listing{
		{Service: "s3", Paginator: "list_objects_v2", Input: map[string]any{"Bucket": "pages"}, Config: map[string]int{"PageSize": 2}},
		{Service: "s3", Paginator: "list_objects_v2", Input: map[string]any{"Bucket": "pages", "Delimiter": "/"}, Config: map[string]int{"PageSize": 3}},
		{Service: "s3", Paginator: "list_objects_v2", Input: map[string]any{"Bucket": "pages"}, Config: map[string]int{"PageSize": 2, "MaxItems": 3}},
		{Service: "s3", Paginator: "list_objects_v2", Input: map[string]any{"Bucket": "pages"}, Config: map[string]int{"PageSize": 2}, Resume: true},
		{Service: "iam", Paginator: "list_users", Input: map[string]any{}, Config: map[string]int{"PageSize": 2, "MaxItems": 4}},
		{Service: "iam", Paginator: "list_users", Input: map[string]any{}, Config: map[string]int{"PageSize": 2}, Resume: true},
		{Service: "ec2", Paginator: "describe_instances", Input: map[string]any{"Filters": []any{map[string]any{"Name": "instance-state-name", "Values": []any{"running", "pending"}}}}, Config: map[string]int{"PageSize": 5}},
		{Service: "s3", Paginator: "list_objects_v2", Input: map[string]any{"Bucket": "none"}},
		{Service: "ec2", Waiter: "instance_running", Input: map[string]any{"InstanceIds": []any{first}}, Config: few},
		{Service: "ec2", Waiter: "instance_terminated", Input: map[string]any{"InstanceIds": []any{first}}, Config: few},
		{Service: "s3", Waiter: "bucket_exists", Input: map[string]any{"Bucket": "pages"}, Config: few},
		{Service: "s3", Waiter: "bucket_exists", Input: map[string]any{"Bucket": "none"}, Config: few},
		{Service: "lambda", Waiter: "function_active", Input: map[string]any{"FunctionName": "f"}, Config: few},
		{Service: "lambda", Waiter: "function_active", Input: map[string]any{"FunctionName": "none"}, Config: few},
	}
	in, err := json.Marshal(listings)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), py, filepath.Join("testdata", "wire", "pages.py"), address) //nolint:gosec // our own program
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("boto3: %v\n%s", err, stderr.String())
	}
	var theirs []any
	if err := json.Unmarshal(out, &theirs); err != nil {
		t.Fatal(err)
	}
	catalog, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	gate, err := awsapi.New(awsapi.Config{
		Sender: client, Models: catalog, Credentials: awsapi.NewStaticCredentials(client, testKeys), Guards: awsapi.Guards{Accounts: []string{"*"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	token := ""
	for i, l := range listings {
		got := read(t, gate, l, &token)
		if diff := cmp.Diff(normal(opened(t, theirs[i])), normal(opened(t, got))); diff != "" {
			t.Errorf("%d, %s %s%s differs (-boto3 +ours):\n%s", i, l.Service, l.Paginator, l.Waiter, diff)
		}
	}
}

// opened shows what a NextToken says: Python and Go write JSON with other spaces.
func opened(t *testing.T, result any) any {
	t.Helper()
	out, _ := result.(map[string]any)["output"].(map[string]any)
	text, ok := out["NextToken"].(string)
	if !ok {
		return result
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	var token any
	if err != nil || json.Unmarshal(raw, &token) != nil {
		t.Errorf("token %q", text)
	}
	out["NextToken"] = token
	return result
}

// read makes one listing or wait over a read-only session.
func read(t *testing.T, gate *awsapi.Gate, l listing, token *string) any {
	t.Helper()
	session := gate.ReadOnly(awsapi.Identity{})
	call := apimodel.Call{Service: l.Service, Operation: l.Paginator, Input: l.Input}
	if l.Waiter != "" {
		err := gate.Wait(t.Context(), session, l.Waiter, call, awsapi.WaitOptions{Delay: time.Millisecond, MaxAttempts: l.Config["MaxAttempts"]})
		if err != nil {
			return map[string]any{"failed": err.Error()}
		}
		return map[string]any{"waited": true}
	}
	o := awsapi.PageOptions{PageSize: l.Config["PageSize"], MaxItems: l.Config["MaxItems"]}
	if l.Resume {
		o.StartingToken = *token
	}
	all, err := gate.PaginateAll(t.Context(), session, call, o)
	*token = all.NextToken
	var refused *apimodel.APIError
	switch {
	case errors.As(err, &refused):
		return map[string]any{"failed": "An" + refused.Error()[2:]}
	case err != nil:
		t.Fatal(err)
	}
	return map[string]any{"output": all.Output}
}

// emptyZip is an archive without files.
var emptyZip = append([]byte("PK\x05\x06"), make([]byte, 18)...)
