package awswall

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// authorize gives the refusal of a call that AWS would refuse, nil otherwise,
// and settles in whose name moto is asked.
func (w *Wall) authorize(ctx context.Context, c *call) *reply {
	if c.operation == unsupportedS3 {
		rep := c.notImplemented("this bucket subresource")
		return &rep
	}
	var ref *reply
	var err error
	switch {
	case c.service == "sts" && c.operation == "AssumeRole":
		ref, err = w.authorizeAssumeRole(ctx, c)
	case c.service == "sts" && c.operation == "GetCallerIdentity":
		return nil // AWS asks for no permission
	case c.service == "s3" && c.bucket != "":
		ref, err = w.authorizeBucket(ctx, c)
	default:
		ref, err = w.authorizeIdentity(ctx, c)
		if ref == nil && c.service == "organizations" {
			w.delegateOrganizations(c)
		}
		if ref == nil && foreign(c) {
			rep := c.denied(c.text(c.resource, "because no resource-based policy allows the "+c.action()+" action"))
			ref = &rep
		}
	}
	if err != nil {
		w.cfg.Logger.Warn("moto could not be asked about permissions", "operation", c.service+":"+c.operation, "error", err)
		rep := c.refusal(http.StatusServiceUnavailable, "ServiceUnavailable", "The emulator could not be asked about permissions: "+err.Error())
		return &rep
	}
	return ref
}

// foreign reports whether a queue or topic belongs to another account.
func foreign(c *call) bool {
	if c.service != "sns" && c.service != "sqs" {
		return false
	}
	owner := accountOf(c.resource)
	return owner != "" && owner != c.who.account
}

// delegateOrganizations lets a delegated administrator read the organization,
// which moto shows to the management account only.
func (w *Wall) delegateOrganizations(c *call) {
	if c.class() != "read" {
		return
	}
	if m := w.estate.managementFor(c.who.account); m != "" {
		c.asAccount = m
	}
}

func (c *call) text(resource, because string) string {
	who := "Anonymous"
	if c.who != nil {
		who = c.who.arn
	}
	on := ""
	if resource != "" {
		on = fmt.Sprintf(" on resource: %q", resource)
	}
	return fmt.Sprintf("User: %s is not authorized to perform: %s%s %s", who, c.action(), on, because)
}

// identityVerdict is what the caller's own policies say.
func (w *Wall) identityVerdict(ctx context.Context, c *call, action, resource string) (verdict, error) {
	if c.who.kind == "root" {
		return allowed, nil
	}
	ids, err := w.estate.of(ctx, c.who.account)
	if err != nil {
		return silent, err
	}
	table := ids.users
	if c.who.kind == "role" {
		table = ids.roles
	}
	id := table[c.who.name]
	if id == nil {
		return denied, nil // deleted since the key was made
	}
	q := request{who: c.who, action: action, resource: resource, context: c.context()}
	v := evaluate(id.policies, q, false)
	if v == allowed && c.who.scoped {
		v = evaluate(c.who.policies, q, false)
	}
	return v, nil
}

func (w *Wall) authorizeIdentity(ctx context.Context, c *call) (*reply, error) {
	v, err := w.identityVerdict(ctx, c, c.action(), c.resource)
	if err != nil || v == allowed {
		return nil, err
	}
	rep := c.denied(c.text(c.resource, why(v, "identity-based", c.action())))
	return &rep, nil
}

func why(v verdict, kind, action string) string {
	if v == denied {
		return "with an explicit deny in an " + kind + " policy"
	}
	return "because no " + kind + " policy allows the " + action + " action"
}

// context gives the condition keys of a call, in lower case.
func (c *call) context() map[string]string {
	m := map[string]string{"aws:securetransport": "false", "aws:sourceip": "127.0.0.1", "aws:useragent": c.agent}
	if c.region != "" {
		m["aws:requestedregion"] = c.region
	}
	if c.who != nil {
		m["aws:principalaccount"] = c.who.account
		m["aws:principalarn"] = c.who.arn
		if c.who.roleARN != "" {
			m["aws:principalarn"] = c.who.roleARN // AWS gives the role, not the session
		}
		m["aws:principaltype"] = map[string]string{"root": "Account", "user": "User", "role": "AssumedRole"}[c.who.kind]
		if c.who.sourceIdentity != "" {
			m["aws:sourceidentity"] = c.who.sourceIdentity
		}
	}
	if c.who != nil {
		for key, value := range c.who.tags {
			m["aws:principaltag/"+strings.ToLower(key)] = value
		}
	}
	tags := sessionTags(c.form)
	for key, value := range tags {
		m["aws:requesttag/"+strings.ToLower(key)] = value
	}
	if len(tags) > 0 {
		m["aws:tagkeys"] = strings.Join(slices.Sorted(maps.Keys(tags)), manyValues)
	}
	for _, name := range []string{"ExternalId", "SourceIdentity", "RoleSessionName"} {
		if c.service == "sts" && c.form.Has(name) {
			m["sts:"+strings.ToLower(name)] = c.form.Get(name)
		}
	}
	if c.service == "s3" && c.form.Has("prefix") {
		m["s3:prefix"] = c.form.Get("prefix")
	}
	return m
}

// authorizeAssumeRole asks the role's trust policy, and across accounts the
// caller's policies too. AWS answers a missing role and a refusal alike.
func (w *Wall) authorizeAssumeRole(ctx context.Context, c *call) (*reply, error) {
	role := c.form.Get("RoleArn")
	c.resource = role
	actions := []string{"sts:AssumeRole"}
	if c.form.Has("SourceIdentity") {
		actions = append(actions, "sts:SetSourceIdentity")
	}
	if c.form.Has("Tags.member.1.Key") {
		actions = append(actions, "sts:TagSession")
	}
	refuse := func(action string) *reply {
		rep := c.denied(fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s", c.who.arn, action, role))
		return &rep
	}
	if c.who.kind == "root" {
		rep := c.denied("Roles may not be assumed by root accounts.")
		return &rep, nil
	}
	account := accountOf(role)
	if account == "" || !strings.Contains(role, ":role/") {
		rep := c.refusal(http.StatusBadRequest, "ValidationError", role+" is invalid")
		return &rep, nil
	}
	ids, err := w.estate.of(ctx, account)
	if err != nil {
		return nil, err
	}
	if ref := c.readSessionPolicies(ids); ref != nil {
		return ref, nil
	}
	target := ids.roles[lastPart(role)]
	if target == nil {
		return refuse("sts:AssumeRole"), nil
	}
	for _, action := range actions {
		trust := evaluate([]document{target.trust}, request{who: c.who, action: action, context: c.context()}, true)
		if trust == silent || trust == denied {
			return refuse(action), nil
		}
		own, err := w.identityVerdict(ctx, c, action, role)
		if err != nil {
			return nil, err
		}
		// In its own account a principal that the trust policy names needs no
		// permission besides; across accounts both sides must agree.
		if own == denied || (own == silent && (trust != allowedByName || account != c.who.account)) {
			return refuse(action), nil
		}
	}
	return nil, nil
}

// authorizeBucket asks the caller's policies, and for a foreign or anonymous
// caller the bucket's.
func (w *Wall) authorizeBucket(ctx context.Context, c *call) (*reply, error) {
	action := c.action()
	owner := w.estate.owner(c.bucket)
	if c.operation == "CreateBucket" || owner == "" {
		if c.who == nil {
			rep := c.denied("Access Denied")
			return &rep, nil
		}
		return w.authorizeIdentity(ctx, c)
	}
	own := c.who != nil && owner == c.who.account
	v := silent
	if c.who != nil {
		var err error
		if v, err = w.identityVerdict(ctx, c, action, c.resource); err != nil {
			return nil, err
		}
	}
	policy, err := w.estate.bucketPolicy(ctx, c.bucket, owner)
	if err != nil {
		return nil, err
	}
	byPolicy := evaluate(policy, request{who: c.who, action: action, resource: c.resource, context: c.context()}, true)
	if v == denied || (byPolicy == denied && !recoversPolicy(c, own)) {
		rep := c.denied(c.text(c.resource, "with an explicit deny in a policy"))
		return &rep, nil
	}
	if own {
		// A session policy limits what a bucket policy grants to the role as well.
		if v == allowed || byPolicy != silent && !c.who.scoped {
			return nil, nil
		}
		rep := c.denied(c.text(c.resource, why(v, "identity-based", action)))
		return &rep, nil
	}
	open, err := w.estate.openness(ctx, c.bucket, owner)
	if err != nil {
		return nil, err
	}
	if open.admits(c, v, byPolicy) {
		c.asAccount = owner // moto keeps its buckets by account
		return nil, nil
	}
	rep := c.denied(c.text(c.resource, "because no resource-based policy allows the "+action+" action"))
	if c.who == nil {
		rep = c.denied("Access Denied")
	}
	return &rep, nil
}

// recoversPolicy is AWS's exception: the owner's root user can always delete a
// bucket policy that locks everyone out.
func recoversPolicy(c *call, own bool) bool {
	return own && c.who.kind == "root" && strings.HasSuffix(c.operation, "BucketPolicy")
}

// admits reports whether a bucket lets in a caller of another account, or nobody
// in particular. A foreign principal needs its own account's permission besides.
func (b bucket) admits(c *call, own, byPolicy verdict) bool {
	if c.who != nil && own != allowed {
		return false
	}
	if byPolicy == allowedByName || byPolicy == allowedByAccount || (byPolicy == allowed && !b.restrictPublic) {
		return true
	}
	if b.ignorePublicACLs || (c.operation != "ListObjectsV2" && c.operation != "HeadBucket") {
		return false
	}
	return b.publicRead || (b.authenticated && c.who != nil)
}
