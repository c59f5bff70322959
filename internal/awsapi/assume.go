package awsapi

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// A script that assumes a role is given credentials that mean something to this
// session only: their key stands for the role in apimodel.Call.As. AWS never sees
// them, and the script never sees AWS's.

const (
	defaultAssumption = time.Hour // DurationSeconds where a call names none
	assumeRole        = "AssumeRole"
)

// mints reports whether r is answered with minted credentials.
func (r request) mints() bool { return r.Service == "sts" && r.Operation == assumeRole }

// takesCredentials gives calls that ask STS for credentials their class in a plan
// or its application. Taking a role that the plan lists needs no approval of its
// own, since every call as that role does; any other way to credentials is
// refused, because they would work outside the gate.
func (s *Session) takesCredentials(r *request) error {
	if s.mode != ModePlan && s.mode != ModeApply || r.Service != "sts" {
		return nil
	}
	switch {
	case r.mints():
		r.class = apimodel.Read
	case r.class == apimodel.SensitiveRead && r.Operation != "DecodeAuthorizationMessage":
		return fault.Errorf(fault.Denied, "call sts:"+r.Operation, "it would give a runbook credentials that work outside of its plan").
			WithHint("a runbook may take roles by sts:AssumeRole")
	}
	return nil
}

// mint answers sts:AssumeRole. The role is really assumed, by the session's own
// source, so that a role that is not there, or does not trust Parry, answers as
// AWS does. What the call says of session policy, tags, duration and source
// identity is answered for and changes nothing: the plan holds what the role is
// used for.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func (s *Session) mint(ctx context.Context, r request) (apimodel.Reply, error) {
	arn, id, err := s.assumable(r)
	if err != nil {
		return apimodel.Reply{}, err
	}
	if _, err := s.g.creds.get(ctx, id, arnPart(arn, 4), r.Region, r.by); err != nil {
		var api *apimodel.APIError
		if errors.As(err, &api) {
			return apimodel.Reply{}, api
		}
		return apimodel.Reply{}, fmt.Errorf("assume role %s: %w", arn, err)
	}
	return s.minted(arn, id.Role, r), nil
}

// assumable gives the role that r asks for, if it may be taken.
func (s *Session) assumable(r request) (arn string, id Identity, err error) {
	const op = "call sts:" + assumeRole
	arn, _ = r.Input["RoleArn"].(string)
	partition, account, name, ok := parseRole(arn)
	switch {
	case !ok:
		return "", id, &apimodel.APIError{Service: "sts", Operation: assumeRole, Code: "ValidationError", HTTPStatus: 400, Message: arn + " is invalid"}
	case partition != apimodel.Partition(r.Region):
		return "", id, fault.Errorf(fault.Invalid, op, "role %s is of partition %s, and region %s is not", arn, partition, r.Region)
	case s.id.owns(name):
		return "", id, fault.Errorf(fault.Denied, op, "role %s is Parry's own", arn).
			WithHint("what a runbook does in another account it does by a role of its own, listed for its document")
	}
	if err := s.mayAssume(op, arn, account, r.Region); err != nil {
		return "", id, err
	}
	id = s.id
	id.Role = name
	return arn, id, nil
}

// minted makes the answer, and lets the key stand for the role from now on.
// Key and secret follow from execution and role, so that a script which begins
// again after a crash knows the role by the same key.
func (s *Session) minted(arn, name string, r request) apimodel.Reply {
	key := s.roles.mint(arn)
	session, _ := r.Input["RoleSessionName"].(string)
	out := map[string]any{
		"Credentials": map[string]any{
			"AccessKeyId": key, "SecretAccessKey": s.roles.text("secret", arn, 30), "SessionToken": s.roles.text("token", arn, 240),
			"Expiration": s.g.cfg.Clock.Now().UTC().Truncate(time.Second).Add(assumption(r.Input["DurationSeconds"])),
		},
		"AssumedRoleUser": map[string]any{
			"AssumedRoleId": "AROA" + s.roles.letters("id", arn, 17) + ":" + session,
			"Arn":           "arn:" + arnPart(arn, 1) + ":sts::" + arnPart(arn, 4) + ":assumed-role/" + afterSlash(name) + "/" + session,
		},
		"ResponseMetadata": responseMetadata(""),
	}
	if source, ok := r.Input["SourceIdentity"].(string); ok {
		out["SourceIdentity"] = source
	}
	return apimodel.Reply{Output: out}
}

// assumption reads DurationSeconds, which validation holds to its limits.
func assumption(v any) time.Duration {
	switch n := v.(type) {
	case int64:
		return time.Duration(n) * time.Second
	case int:
		return time.Duration(n) * time.Second
	case float64:
		return time.Duration(n) * time.Second
	}
	return defaultAssumption
}

// mint gives the access key id that stands for a role.
func (r *roles) mint(arn string) string {
	key := "ASIA" + r.letters("key", arn, 16)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.minted[key] = arn
	return key
}

// letters gives n capital letters and digits that follow from the execution, the
// role and what they are for.
func (r *roles) letters(what, arn string, n int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s", what, r.seed, arn))
	return base32.StdEncoding.EncodeToString(sum[:])[:n]
}

// text gives n bytes, as base64, in the same way.
func (r *roles) text(what, arn string, n int) string {
	var out []byte
	for i := 0; len(out) < n; i++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d\n%s\n%s", what, i, r.seed, arn))
		out = append(out, sum[:]...)
	}
	return base64.StdEncoding.EncodeToString(out[:n])
}
