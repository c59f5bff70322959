package awsapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
)

const assumed = `<AssumeRoleResponse><AssumeRoleResult><AssumedRoleUser><Arn>arn:aws:sts::111122223333:assumed-role/R/s</Arn></AssumedRoleUser>
<Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>hush</SecretAccessKey><SessionToken>token</SessionToken><Expiration>2024-05-06T07:08:09Z</Expiration></Credentials>
</AssumeRoleResult></AssumeRoleResponse>`

func TestAssumeRole(t *testing.T) {
	t.Parallel()
	url, _ := stub(t, answer(200, assumed))
	source := awsapi.NewStaticCredentials(newClient(t, url, nil), testKeys)
	creds, expires, err := source.AssumeRole(t.Context(), awsapi.RoleRequest{RoleARN: "arn:aws:iam::111122223333:role/R", SessionName: "session", ExternalID: "ext", SourceIdentity: "me"})
	if err != nil {
		t.Fatal(err)
	}
	if creds.AccessKeyID != "ASIA1" || creds.SecretAccessKey.Reveal() != "hush" || creds.SessionToken.Reveal() != "token" || creds.Account != "111122223333" {
		t.Errorf("got %+v", creds)
	}
	if want := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC); !expires.Equal(want) || !creds.Expires.Equal(want) {
		t.Errorf("expires %v", expires)
	}
}

func TestAssumeRoleRefused(t *testing.T) {
	t.Parallel()
	url, _ := stub(t, answer(403, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>not yours</Message></Error></ErrorResponse>`))
	source := awsapi.NewStaticCredentials(newClient(t, url, nil), testKeys)
	_, _, err := source.AssumeRole(t.Context(), awsapi.RoleRequest{RoleARN: "arn:aws:iam::111122223333:role/Role", SessionName: "session"})
	if err == nil || !strings.Contains(err.Error(), "AccessDenied") || !strings.Contains(err.Error(), "role/Role") {
		t.Errorf("got %v", err)
	}
	url, _ = stub(t, answer(200, `<AssumeRoleResponse><AssumeRoleResult/></AssumeRoleResponse>`))
	source = awsapi.NewStaticCredentials(newClient(t, url, nil), testKeys)
	_, _, err = source.AssumeRole(t.Context(), awsapi.RoleRequest{RoleARN: "arn:aws:iam::111122223333:role/Role", SessionName: "session"})
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("an answer without credentials: got %v", err)
	}
}

// The next two set the environment, so they do not run beside others.

func TestProcessCredentialsOfTheEnvironment(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hush")
	t.Setenv("AWS_SESSION_TOKEN", "token")
	creds, err := awsapi.NewCredentialSource(newClient(t, "", nil)).Process(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if creds.AccessKeyID != "AKIAENV" || creds.SecretAccessKey.Reveal() != "hush" || creds.SessionToken.Reveal() != "token" || !creds.Expires.IsZero() {
		t.Errorf("got %+v", creds)
	}
}

func TestNoProcessCredentials(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_WEB_IDENTITY_TOKEN_FILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	_, err := awsapi.NewCredentialSource(newClient(t, "", nil)).Process(t.Context())
	if !fault.Is(err, fault.Denied) || !strings.Contains(fault.HintOf(err), "AWS_PROFILE") {
		t.Errorf("got %v, hint %q", err, fault.HintOf(err))
	}
}

func TestClientNeedsModels(t *testing.T) {
	t.Parallel()
	if _, err := awsapi.NewClient(awsapi.ClientConfig{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("got %v", err)
	}
}

func TestValidateSendsNothing(t *testing.T) {
	t.Parallel()
	url, attempts := stub(t, answer(200, "{}"))
	c := newClient(t, url, nil)
	if err := c.Validate(apimodel.Call{Service: "s3", Operation: "GetBucketAcl"}); err == nil || !strings.Contains(err.Error(), `Missing required parameter in input: "Bucket"`) {
		t.Errorf("got %v", err)
	}
	if err := c.Validate(apimodel.Call{Service: "s3", Operation: "GetBucketAcl", Input: map[string]any{"Bucket": "bbb"}}); err != nil || attempts.Load() != 0 {
		t.Errorf("got %v after %d requests", err, attempts.Load())
	}
}
