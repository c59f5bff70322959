package awsapi_test

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // AWS's tools name their cache files so
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
)

// sources answers as the services do that credentials come from: the metadata
// of an instance (with a token, IMDSv2), of a container, STS and the SSO portal.
func sources(t *testing.T) (url string, paths *[]string) {
	t.Helper()
	paths = &[]string{}
	document := `{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"%s","SecretAccessKey":"hush","Token":"whisper","Expiration":"2099-01-01T00:00:00Z"}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*paths = append(*paths, r.Method+" "+r.URL.Path)
		imds := strings.HasPrefix(r.URL.Path, "/latest/meta-data/")
		switch {
		case r.URL.Path == "/latest/api/token":
			if r.Method != http.MethodPut {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
			fmt.Fprint(w, "imds-token")
		case imds && r.Header.Get("X-Aws-Ec2-Metadata-Token") != "imds-token":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/latest/meta-data/iam/security-credentials/":
			fmt.Fprint(w, "instance-role")
		case imds:
			fmt.Fprintf(w, document, "ASIAIMDS")
		case r.URL.Path == "/ecs":
			if r.Header.Get("Authorization") != "container-token" {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			fmt.Fprintf(w, document, "ASIAECS")
		case r.URL.Path == "/federation/credentials":
			if r.Header.Get("X-Amz-Sso_bearer_token") != "sso-token" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"roleCredentials":{"accessKeyId":"ASIASSO","secretAccessKey":"hush","sessionToken":"whisper","expiration":4070908800000}}`)
		default:
			stsAnswer(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, paths
}

// stsAnswer assumes roles, by a web identity or by the profile's own keys.
func stsAnswer(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	action, key := r.Form.Get("Action"), "ASIAROLE"
	switch {
	case action == "AssumeRoleWithWebIdentity" && r.Form.Get("WebIdentityToken") == "web-token":
		key = "ASIAWEB"
	case action == "AssumeRole" && strings.Contains(r.Header.Get("Authorization"), "Credential=AKIABASE/"):
	default:
		w.WriteHeader(http.StatusForbidden)
		return
	}
	fmt.Fprintf(w, `<%sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%sResult><Credentials><AccessKeyId>%s</AccessKeyId>
<SecretAccessKey>hush</SecretAccessKey><SessionToken>whisper</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>
<AssumedRoleUser><Arn>arn:aws:sts::111122223333:assumed-role/r/s</Arn><AssumedRoleId>x:s</AssumedRoleId></AssumedRoleUser></%sResult></%sResponse>`,
		action, action, key, action, action)
}

// TestDefaultChain takes credentials from each source that AWS's tools know, on
// loopback. It sets the environment, so it does not run beside others.
func TestDefaultChain(t *testing.T) {
	for name, tc := range map[string]struct {
		env    map[string]string // %s = the sources' address
		config string
		shared string
		want   string
	}{
		"environment":        {env: map[string]string{"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "hush"}, want: "AKIAENV"},
		"shared credentials": {shared: "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = hush\n", want: "AKIAFILE"},
		"a profile":          {env: map[string]string{"AWS_PROFILE": "p"}, shared: "[p]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = hush\n", want: "AKIAPROFILE"},
		"a profile that assumes a role": {
			env:    map[string]string{"AWS_PROFILE": "p", "AWS_ENDPOINT_URL_STS": "%s"},
			config: "[profile p]\nrole_arn = arn:aws:iam::111122223333:role/r\nsource_profile = base\nregion = us-east-1\n",
			shared: "[base]\naws_access_key_id = AKIABASE\naws_secret_access_key = hush\n", want: "ASIAROLE",
		},
		"credential_process": {
			config: "[default]\ncredential_process = %echo\n", want: "ASIAPROCESS",
		},
		"web identity": {
			env: map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": "%token", "AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/r", "AWS_ENDPOINT_URL_STS": "%s", "AWS_REGION": "us-east-1"}, want: "ASIAWEB",
		},
		"container": {env: map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "%s/ecs", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "container-token"}, want: "ASIAECS"},
		"instance":  {env: map[string]string{"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "%s"}, want: "ASIAIMDS"},
		"SSO": {
			env: map[string]string{"AWS_ENDPOINT_URL_SSO": "%s"}, want: "ASIASSO",
			config: "[default]\nsso_start_url = https://example.awsapps.com/start\nsso_region = us-east-1\nsso_account_id = 111122223333\nsso_role_name = r\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			url, paths := sources(t)
			home := bareHome(t)
			fill := strings.NewReplacer("%s", url, "%token", filepath.Join(home, "token"), "%echo", filepath.Join(home, "echo"))
			for k, v := range tc.env {
				t.Setenv(k, fill.Replace(v))
			}
			write(t, filepath.Join(home, ".aws", "config"), fill.Replace(tc.config), 0o600)
			write(t, filepath.Join(home, ".aws", "credentials"), tc.shared, 0o600)
			before := files(t, home)

			var log bytes.Buffer
			models, err := catalog()
			if err != nil {
				t.Fatal(err)
			}
			client, err := awsapi.NewClient(awsapi.ClientConfig{Models: models, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
			if err != nil {
				t.Fatal(err)
			}
			got, err := awsapi.NewCredentialSource(client).Process(t.Context())
			if err != nil {
				t.Fatalf("%v (asked %v)", err, *paths)
			}
			if got.AccessKeyID != tc.want || got.SecretAccessKey.Reveal() != "hush" {
				t.Errorf("got %s (asked %v)", got.AccessKeyID, *paths)
			}
			log.WriteString(fmt.Sprintf("%v %+v %#v", got, got, got))
			if strings.Contains(log.String(), "hush") || strings.Contains(log.String(), "whisper") {
				t.Errorf("a secret is printed: %s", log.String())
			}
			if after := files(t, home); after != before {
				t.Errorf("files were written: %s, before %s", after, before)
			}
		})
	}
}

// TestNoCredentialsAtAll: a machine without any says so in words, with what to do, also
// where a role was to be taken with them.
func TestNoCredentialsAtAll(t *testing.T) {
	bareHome(t)
	nobody := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(nobody.Close)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", nobody.URL)
	models, err := catalog()
	if err != nil {
		t.Fatal(err)
	}
	client, err := awsapi.NewClient(awsapi.ClientConfig{Models: models})
	if err != nil {
		t.Fatal(err)
	}
	gate, err := awsapi.New(awsapi.Config{Sender: client, Models: models, Credentials: awsapi.NewCredentialSource(client), Guards: awsapi.Guards{Accounts: []string{"*"}}})
	if err != nil {
		t.Fatal(err)
	}
	call := apimodel.Call{Service: "s3", Operation: "ListBuckets", Account: "111122223333"}
	for name, id := range map[string]awsapi.Identity{"itself": {}, "a role": {Role: "R"}} {
		if id.Role == "" {
			call.Account = ""
		}
		_, err := gate.ReadOnly(id).Call(t.Context(), "x", call)
		if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "there are none: neither in the environment nor in ~/.aws") || !strings.Contains(fault.HintOf(err), "set AWS_PROFILE") {
			t.Errorf("%s: %v (%s)", name, err, fault.HintOf(err))
		}
		call.Account = "111122223333"
	}
}

// bareHome takes everything away that could lead the chain elsewhere.
func bareHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_SSO", "AWS_REGION",
	} {
		t.Setenv(name, "")
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HOME", home)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(home, ".aws", "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(home, ".aws", "credentials"))
	write(t, filepath.Join(home, "token"), "web-token", 0o600)
	write(t, filepath.Join(home, "echo"), "#!/bin/sh\n"+`echo '{"Version": 1, "AccessKeyId": "ASIAPROCESS", "SecretAccessKey": "hush", "SessionToken": "whisper", "Expiration": "2099-01-01T00:00:00Z"}'`+"\n", 0o700)
	sum := sha1.Sum([]byte("https://example.awsapps.com/start")) //nolint:gosec // see above
	write(t, filepath.Join(home, ".aws", "sso", "cache", hex.EncodeToString(sum[:])+".json"),
		`{"accessToken": "sso-token", "expiresAt": "2099-01-01T00:00:00Z", "region": "us-east-1", "startUrl": "https://example.awsapps.com/start"}`, 0o600)
	return home
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// files lists a directory with its contents.
func files(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s=%s\n", path, raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestSessionSecretsStayInMemory assumes a role through a gate and looks for its
// secrets in everything that the gate logs and observes.
func TestSessionSecretsStayInMemory(t *testing.T) {
	t.Parallel()
	url, _ := stub(t, answer(200, assumed))
	var log bytes.Buffer
	models, err := catalog()
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	client, err := awsapi.NewClient(awsapi.ClientConfig{Models: models, Logger: logger, Getenv: func(name string) string { return map[string]string{"AWS_ENDPOINT_URL": url}[name] }})
	if err != nil {
		t.Fatal(err)
	}
	gate, err := awsapi.New(awsapi.Config{Sender: client, Models: models, Credentials: awsapi.NewStaticCredentials(client, testKeys), Logger: logger, Guards: awsapi.Guards{Accounts: []string{member}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = gate.ReadOnly(as).Call(t.Context(), "", apimodel.Call{Service: "sts", Operation: "GetCallerIdentity", Account: member, Region: region})
	fmt.Fprintf(&log, "%v %+v", err, gate)
	if text := log.String(); strings.Contains(text, `"hush"`) || strings.Contains(text, "{hush") || strings.Contains(text, testKeys.SecretAccessKey.Reveal()) {
		t.Errorf("a secret is printed: %s", text)
	}
}
