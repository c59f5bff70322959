package awswall

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// asker asks moto in the name of an account; such questions are not logged.
type asker func(ctx context.Context, account, service, method, uri, body string) (reply, error)

// estate is what the wall knows about accounts: read from moto when needed, kept
// until a call that passes the wall may have changed it.
type estate struct {
	ask asker

	mu         sync.Mutex
	owners     map[string]string // bucket -> account
	identities map[string]*identities
	buckets    map[string]bucket
	generation int // counts the changes, so that a slow read cannot store what is past
	management string
	delegated  map[string]bool
}

// identities are the users and roles of an account.
type identities struct {
	users, roles map[string]*identity
	managed      map[string]document // by ARN
}

type identity struct {
	trust    document
	policies []document
}

// bucket is what decides about foreign and anonymous callers.
type bucket struct {
	generation       int
	policyKnown      bool
	policy           []document
	opennessKnown    bool
	publicRead       bool // by the access control list
	authenticated    bool // the same, for any AWS account
	ignorePublicACLs bool
	restrictPublic   bool
}

func newEstate(ask asker) *estate {
	e := &estate{ask: ask}
	e.reset()
	return e
}

func (e *estate) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.owners, e.identities, e.buckets = map[string]string{}, map[string]*identities{}, map[string]bucket{}
	e.management, e.delegated = "", map[string]bool{}
}

func (e *estate) ownBucket(name, account string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if account == "" {
		delete(e.owners, name)
		return
	}
	if e.owners[name] == "" {
		e.owners[name] = account
	}
}

func (e *estate) owner(name string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.owners[name]
}

func (e *estate) setManagement(account string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.management = account
}

func (e *estate) delegate(account string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.delegated[account] = true
}

// managementFor gives the management account when account is a delegated
// administrator of its organization, "" otherwise.
func (e *estate) managementFor(account string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.delegated[account] {
		return e.management
	}
	return ""
}

func (e *estate) forgetIdentities(account string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.identities, account)
	e.generation++
}

func (e *estate) forgetBucket(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.buckets, name)
	e.generation++
}

type policyXML struct {
	Document string `xml:"PolicyDocument"`
}

type attachedXML struct {
	Arn string `xml:"PolicyArn"`
}

type detailsXML struct {
	Result struct {
		Users []struct {
			Name     string        `xml:"UserName"`
			Inline   []policyXML   `xml:"UserPolicyList>member"`
			Attached []attachedXML `xml:"AttachedManagedPolicies>member"`
			Groups   []string      `xml:"GroupList>member"`
		} `xml:"UserDetailList>member"`
		Groups []struct {
			Name     string        `xml:"GroupName"`
			Inline   []policyXML   `xml:"GroupPolicyList>member"`
			Attached []attachedXML `xml:"AttachedManagedPolicies>member"`
		} `xml:"GroupDetailList>member"`
		Roles []struct {
			Name     string        `xml:"RoleName"`
			Trust    string        `xml:"AssumeRolePolicyDocument"`
			Inline   []policyXML   `xml:"RolePolicyList>member"`
			Attached []attachedXML `xml:"AttachedManagedPolicies>member"`
		} `xml:"RoleDetailList>member"`
		Policies []struct {
			Arn      string `xml:"Arn"`
			Versions []struct {
				Document string `xml:"Document"`
				Default  string `xml:"IsDefaultVersion"`
			} `xml:"PolicyVersionList>member"`
		} `xml:"Policies>member"`
	} `xml:"GetAccountAuthorizationDetailsResult"`
}

// of gives the users and roles of an account.
func (e *estate) of(ctx context.Context, account string) (*identities, error) {
	e.mu.Lock()
	known, generation := e.identities[account], e.generation
	e.mu.Unlock()
	if known != nil {
		return known, nil
	}
	rep, err := e.ask(ctx, account, "iam", http.MethodPost, "/", "Action=GetAccountAuthorizationDetails&Version=2010-05-08&MaxItems=1000")
	if err != nil {
		return nil, err
	}
	var d detailsXML
	if rep.status != http.StatusOK {
		return nil, fmt.Errorf("moto answered %d to GetAccountAuthorizationDetails", rep.status)
	}
	if err := xml.Unmarshal(rep.body, &d); err != nil {
		return nil, fmt.Errorf("read GetAccountAuthorizationDetails: %w", err)
	}
	out := d.identities()
	e.mu.Lock()
	defer e.mu.Unlock()
	if generation == e.generation {
		e.identities[account] = out
	}
	return out, nil
}

func (d detailsXML) identities() *identities {
	managed := map[string]document{}
	for _, p := range d.Result.Policies {
		for _, v := range p.Versions {
			if strings.EqualFold(v.Default, "true") {
				managed[p.Arn], _ = parsePolicy(decodeDocument(v.Document))
			}
		}
	}
	collect := func(inline []policyXML, attached []attachedXML) []document {
		var out []document
		for _, p := range inline {
			doc, _ := parsePolicy(decodeDocument(p.Document))
			out = append(out, doc)
		}
		for _, a := range attached {
			out = append(out, managed[a.Arn])
		}
		return out
	}
	groups := map[string][]document{}
	for _, g := range d.Result.Groups {
		groups[g.Name] = collect(g.Inline, g.Attached)
	}
	out := &identities{users: map[string]*identity{}, roles: map[string]*identity{}, managed: managed}
	for _, u := range d.Result.Users {
		id := &identity{policies: collect(u.Inline, u.Attached)}
		for _, g := range u.Groups {
			id.policies = append(id.policies, groups[g]...)
		}
		out.users[u.Name] = id
	}
	for _, r := range d.Result.Roles {
		trust, _ := parsePolicy(decodeDocument(r.Trust))
		out.roles[r.Name] = &identity{trust: trust, policies: collect(r.Inline, r.Attached)}
	}
	return out
}

// decodeDocument undoes the URL encoding that IAM gives documents.
func decodeDocument(s string) string {
	s = strings.TrimSpace(s)
	if !strings.HasPrefix(s, "%") {
		return s
	}
	if out, err := url.PathUnescape(s); err == nil {
		return out
	}
	return s
}

// bucketPolicy gives the policy of a bucket, none when it has none.
func (e *estate) bucketPolicy(ctx context.Context, name, owner string) ([]document, error) {
	b := e.cached(name)
	if b.policyKnown {
		return b.policy, nil
	}
	rep, err := e.ask(ctx, owner, "s3", http.MethodGet, "/"+url.PathEscape(name)+"?policy", "")
	if err != nil {
		return nil, err
	}
	b.policyKnown = true
	if rep.status == http.StatusOK {
		if doc, ok := parsePolicy(string(rep.body)); ok {
			b.policy = []document{doc}
		}
	}
	e.keep(name, b)
	return b.policy, nil
}

// openness gives what Block Public Access and the access control list say.
func (e *estate) openness(ctx context.Context, name, owner string) (bucket, error) {
	b := e.cached(name)
	if b.opennessKnown {
		return b, nil
	}
	path := "/" + url.PathEscape(name)
	rep, err := e.ask(ctx, owner, "s3", http.MethodGet, path+"?publicAccessBlock", "")
	if err != nil {
		return bucket{}, err
	}
	var pab struct {
		Ignore   bool `xml:"IgnorePublicAcls"`
		Restrict bool `xml:"RestrictPublicBuckets"`
	}
	if rep.status == http.StatusOK && xml.Unmarshal(rep.body, &pab) == nil {
		b.ignorePublicACLs, b.restrictPublic = pab.Ignore, pab.Restrict
	}
	if rep, err = e.ask(ctx, owner, "s3", http.MethodGet, path+"?acl", ""); err != nil {
		return bucket{}, err
	}
	var acl struct {
		Grants []struct {
			URI        string `xml:"Grantee>URI"`
			Permission string `xml:"Permission"`
		} `xml:"AccessControlList>Grant"`
	}
	if rep.status == http.StatusOK && xml.Unmarshal(rep.body, &acl) == nil {
		for _, g := range acl.Grants {
			if g.Permission != "READ" && g.Permission != "FULL_CONTROL" {
				continue
			}
			b.publicRead = b.publicRead || strings.HasSuffix(g.URI, "/AllUsers")
			b.authenticated = b.authenticated || strings.HasSuffix(g.URI, "/AuthenticatedUsers")
		}
	}
	b.opennessKnown = true
	e.keep(name, b)
	return b, nil
}

func (e *estate) cached(name string) bucket {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.buckets[name]
	b.generation = e.generation
	return b
}

// keep stores what was read, unless a change has passed the wall meanwhile.
func (e *estate) keep(name string, b bucket) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if b.generation == e.generation {
		e.buckets[name] = b
	}
}

// ask is the wall's own question to moto: unsigned, since moto does not look.
func (w *Wall) ask(ctx context.Context, account, service, method, uri, body string) (reply, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	out, err := http.NewRequestWithContext(ctx, method, w.upstream.String()+uri, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	out.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAWALLWALLWALLWALL/20260101/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	out.Header.Set("X-Moto-Account-Id", account)
	if body != "" {
		out.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return w.do(out)
}
