package awswall

import (
	"encoding/xml"
	"net/http"
	"strings"
	"sync"
)

// principal is who a key belongs to.
type principal struct {
	account        string
	kind           string // root, user, role
	name           string // user or role name
	arn            string // as GetCallerIdentity prints it
	roleARN        string // of a role session
	session        string
	sourceIdentity string
	scoped         bool              // the session has session policies
	policies       []document        // session policies: the session may do what its role and one of them allow
	tags           map[string]string // session tags
	secret         string
	token          string // temporary keys must send it
}

// keyring holds the keys that the wall knows: those given at start and those
// that it saw moto mint.
type keyring struct {
	mu   sync.Mutex
	keys map[string]*principal
}

func newKeyring(roots []RootKey) *keyring {
	k := &keyring{}
	k.reset(roots)
	return k
}

func (k *keyring) reset(roots []RootKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = map[string]*principal{}
	for _, r := range roots {
		k.keys[r.AccessKeyID] = &principal{account: r.Account, kind: "root", arn: "arn:aws:iam::" + r.Account + ":root", secret: r.Secret}
	}
}

func (k *keyring) get(id string) *principal {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys[id]
}

func (k *keyring) put(id string, p *principal) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[id] = p
}

func (k *keyring) drop(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.keys, id)
}

// The answers in which moto mints keys.
type assumeRoleAnswer struct {
	Result struct {
		Credentials struct {
			AccessKeyID  string `xml:"AccessKeyId"`
			Secret       string `xml:"SecretAccessKey"`
			SessionToken string `xml:"SessionToken"`
		} `xml:"Credentials"`
		User struct {
			Arn string `xml:"Arn"`
		} `xml:"AssumedRoleUser"`
	} `xml:"AssumeRoleResult"`
}

type createKeyAnswer struct {
	Result struct {
		Key struct {
			UserName string `xml:"UserName"`
			ID       string `xml:"AccessKeyId"`
			Secret   string `xml:"SecretAccessKey"`
		} `xml:"AccessKey"`
	} `xml:"CreateAccessKeyResult"`
}

// learn takes from a successful call what the wall has to know later.
func (w *Wall) learn(c *call, rep reply) {
	switch c.service + ":" + c.operation {
	case "sts:AssumeRole":
		var a assumeRoleAnswer
		if xml.Unmarshal(rep.body, &a) != nil || a.Result.Credentials.AccessKeyID == "" {
			return
		}
		role := c.form.Get("RoleArn")
		source := c.form.Get("SourceIdentity")
		if source == "" && c.who != nil {
			source = c.who.sourceIdentity // it sticks through role chaining
		}
		w.keys.put(a.Result.Credentials.AccessKeyID, &principal{
			account: accountOf(role), kind: "role", name: role[strings.LastIndex(role, "/")+1:], arn: a.Result.User.Arn, roleARN: role,
			session: c.form.Get("RoleSessionName"), sourceIdentity: source, tags: sessionTags(c.form),
			scoped: c.form.Has("Policy") || c.form.Has("PolicyArns.member.1.arn"), policies: c.sessionPolicies,
			secret: a.Result.Credentials.Secret, token: a.Result.Credentials.SessionToken,
		})
	case "iam:CreateAccessKey":
		var a createKeyAnswer
		if xml.Unmarshal(rep.body, &a) != nil || a.Result.Key.ID == "" {
			return
		}
		name := a.Result.Key.UserName
		w.keys.put(a.Result.Key.ID, &principal{
			account: c.asAccount, kind: "user", name: name, arn: "arn:aws:iam::" + c.asAccount + ":user/" + name, secret: a.Result.Key.Secret,
		})
	case "iam:DeleteAccessKey":
		w.keys.drop(c.form.Get("AccessKeyId"))
	case "s3:CreateBucket":
		w.estate.ownBucket(c.bucket, c.asAccount)
	case "s3:DeleteBucket":
		w.estate.ownBucket(c.bucket, "")
	case "organizations:CreateOrganization":
		w.estate.setManagement(c.asAccount)
	case "organizations:RegisterDelegatedAdministrator", "securityhub:EnableOrganizationAdminAccount":
		w.estate.delegate(jsonText(c.body, "AccountId", "AdminAccountId"))
	}
	if (c.service == "iam" || c.service == "cloudformation") && c.class() == "change" { // a stack may hold roles
		w.estate.forgetIdentities(c.asAccount)
	}
	if c.service == "s3" && c.class() == "change" && c.object == "" {
		w.estate.forgetBucket(c.bucket)
	}
}

// identify finds the caller. It gives the refusal for a key that is unknown, a
// signature that is wrong, or a request that carries none where one is needed.
func (w *Wall) identify(c *call, r *http.Request) *reply {
	if c.form.Has("X-Amz-Signature") {
		rep := c.notImplemented("presigned requests")
		return &rep
	}
	if c.keyID == "" {
		if r.Header.Get("Authorization") == "" && c.service == "s3" && c.bucket != "" {
			return nil // an anonymous reader; authorize decides
		}
		rep := c.refusal(http.StatusForbidden, "MissingAuthenticationToken", "Request is missing Authentication Token")
		return &rep
	}
	p := w.keys.get(c.keyID)
	if p == nil {
		code, text := "InvalidClientTokenId", "The security token included in the request is invalid."
		switch c.protocol {
		case protoS3:
			code, text = "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."
		case protoJSON:
			code = "UnrecognizedClientException"
		}
		rep := c.refusal(http.StatusForbidden, code, text)
		return &rep
	}
	if p.token != "" && r.Header.Get("X-Amz-Security-Token") != p.token {
		code := "InvalidClientTokenId"
		if c.protocol == protoS3 {
			code = "InvalidToken"
		}
		rep := c.refusal(http.StatusForbidden, code, "The security token included in the request is invalid.")
		return &rep
	}
	if err := w.checkSignature(c, r, p.secret); err != nil {
		rep := c.refusal(http.StatusForbidden, err.code, err.text)
		return &rep
	}
	c.who, c.asAccount = p, p.account
	return nil
}

// accountOf gives the account of an ARN, "" where it has none.
func accountOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[4]
}
