package playbook

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func policyOf(statements ...string) map[string]any {
	return map[string]any{"Policy": `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`}
}

func TestPublicStatements(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		statement string
		public    bool
	}{
		"star":                     {`{"Sid":"a","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}`, true},
		"AWS star":                 {`{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:GetObject"}`, true},
		"star in a list":           {`{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:root","*"]}}`, true},
		"NotPrincipal":             {`{"Effect":"Allow","NotPrincipal":{"AWS":"arn:aws:iam::111122223333:root"}}`, true},
		"deny to everyone":         {`{"Effect":"Deny","Principal":"*","Action":"s3:*"}`, false},
		"one account":              {`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"}}`, false},
		"a service":                {`{"Effect":"Allow","Principal":{"Service":"logging.s3.amazonaws.com"}}`, false},
		"organization":             {`{"Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}}`, false},
		"organization wildcard":    {`{"Effect":"Allow","Principal":"*","Condition":{"StringLike":{"aws:PrincipalOrgID":"o-*"}}}`, true},
		"organization if exists":   {`{"Effect":"Allow","Principal":"*","Condition":{"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-1"}}}`, true},
		"not one organization":     {`{"Effect":"Allow","Principal":"*","Condition":{"StringNotEquals":{"aws:PrincipalOrgID":"o-1"}}}`, true},
		"for all values":           {`{"Effect":"Allow","Principal":"*","Condition":{"ForAllValues:StringEquals":{"aws:PrincipalOrgID":"o-1"}}}`, true},
		"narrow address":           {`{"Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}`, false},
		"all addresses":            {`{"Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}}`, true},
		"half of all addresses":    {`{"Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":["0.0.0.0/1","128.0.0.0/1"]}}}`, true},
		"one VPC endpoint":         {`{"Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:SourceVpce":"vpce-1"}}}`, false},
		"policy variable":          {`{"Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:PrincipalAccount":"${aws:username}"}}}`, true},
		"any organization":         {`{"Effect":"Allow","Principal":"*","Condition":{"Null":{"aws:PrincipalOrgID":"false"}}}`, true},
		"no VPC endpoint":          {`{"Effect":"Allow","Principal":"*","Condition":{"Null":{"aws:SourceVpce":"true"}}}`, true},
		"not through a service":    {`{"Effect":"Allow","Principal":"*","Condition":{"Bool":{"aws:ViaAWSService":"false"}}}`, true},
		"for any value":            {`{"Effect":"Allow","Principal":"*","Condition":{"forAnyValue:StringEquals":{"aws:PrincipalOrgPaths":"o-1/r-1/"}}}`, false},
		"condition that is no fix": {`{"Effect":"Allow","Principal":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ok, detail := policyNotPublic(policyOf(c.statement))
			if ok == c.public {
				t.Errorf("not public = %v (%s), want public = %v", ok, detail, c.public)
			}
		})
	}
}

func TestReplacementKeepsWhatIsNotPublic(t *testing.T) {
	t.Parallel()
	public := `{"Sid":"World","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}`
	private := `{"Sid":"Partner","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}`
	for name, c := range map[string]struct {
		doc    map[string]any
		action string
		keep   []string
	}{
		"no policy":      {map[string]any{}, "none", nil},
		"nothing public": {policyOf(private), "none", nil},
		"mixed":          {policyOf(public, private), "replace", []string{private}},
		"only public":    {policyOf(public, public), "delete", nil},
		"single object":  {map[string]any{"Policy": `{"Version":"2012-10-17","Statement":` + public + `}`}, "delete", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			action, err := policyAction(c.doc)
			if err != nil || action != c.action {
				t.Fatalf("action = %q, %v, want %q", action, err, c.action)
			}
			text, err := policyWithoutPublicStatements(c.doc)
			if err != nil {
				t.Fatal(err)
			}
			if c.keep == nil {
				if text != "" {
					t.Errorf("replacement = %s, want none", text)
				}
				return
			}
			var got struct{ Statement []json.RawMessage }
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatal(err)
			}
			var kept []string
			for _, s := range got.Statement {
				kept = append(kept, string(s))
			}
			if diff := cmp.Diff(c.keep, kept); diff != "" {
				t.Errorf("statements (-want +got):\n%s", diff)
			}
			if again, _ := policyAction(map[string]any{"Policy": text}); again != "none" {
				t.Errorf("the replacement is not clean: %s", again)
			}
		})
	}
	if _, err := policyAction(map[string]any{"Policy": "{"}); err == nil {
		t.Error("a policy that is not JSON gave no error")
	}
}

func TestPublicGrants(t *testing.T) {
	t.Parallel()
	grant := func(uri string) map[string]any {
		return map[string]any{"Grants": []any{
			map[string]any{"Grantee": map[string]any{"Type": "CanonicalUser", "ID": "owner"}, "Permission": "FULL_CONTROL"},
			map[string]any{"Grantee": map[string]any{"Type": "Group", "URI": uri}, "Permission": "READ"},
		}}
	}
	for uri, want := range map[string]string{allUsers: "true", authenticatedUsers: "true", "http://acs.amazonaws.com/groups/s3/LogDelivery": "false"} {
		if got, _ := hasPublicGrants(grant(uri)); got != want {
			t.Errorf("%s: %s, want %s", uri, got, want)
		}
		if ok, _ := aclNotPublic(grant(uri)); ok == (want == "true") {
			t.Errorf("%s: the predicate says %v", uri, ok)
		}
	}
}

func TestPublicToReadAndToWrite(t *testing.T) {
	t.Parallel()
	for action, want := range map[string]struct{ read, write bool }{
		`"Action":"s3:GetObject"`:                  {true, false},
		`"Action":"S3:ListBucket"`:                 {true, false},
		`"Action":["s3:PutObject"]`:                {false, true},
		`"Action":"s3:DeleteObject"`:               {false, true},
		`"Action":["s3:GetObject","s3:PutObject"]`: {true, true},
		`"Action":"s3:*"`:                          {true, true},
		`"Action":"*"`:                             {true, true},
		`"Action":"s3:Ge*"`:                        {true, true}, // it says no more than that Get is in it
		`"Action":"s3:Get*"`:                       {true, false},
		`"Action":"s3:P*"`:                         {false, true},
		`"Action":"s?:GetObject"`:                  {true, true},
		`"NotAction":"s3:PutObject"`:               {true, true},
	} {
		doc := policyOf(`{"Effect":"Allow","Principal":"*","Resource":"*",` + action + `}`)
		if ok, detail := policyNotPublicRead(doc); ok == want.read {
			t.Errorf("%s: not readable is %v: %s", action, ok, detail)
		}
		if ok, detail := policyNotPublicWrite(doc); ok == want.write {
			t.Errorf("%s: not writable is %v: %s", action, ok, detail)
		}
		named := policyOf(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Resource":"*",` + action + `}`)
		if ok, _ := policyNotPublicRead(named); !ok {
			t.Errorf("%s: for a named principal it is public", action)
		}
	}
	for permission, want := range map[string]struct{ read, write bool }{
		"READ": {true, false}, "READ_ACP": {true, false}, "WRITE": {false, true}, "WRITE_ACP": {false, true}, "FULL_CONTROL": {true, true},
	} {
		doc := map[string]any{"Grants": []any{map[string]any{"Grantee": map[string]any{"URI": allUsers}, "Permission": permission}}}
		if ok, _ := aclNotPublicRead(doc); ok == want.read {
			t.Errorf("%s: not readable is %v", permission, ok)
		}
		if ok, _ := aclNotPublicWrite(doc); ok == want.write {
			t.Errorf("%s: not writable is %v", permission, ok)
		}
	}
}
