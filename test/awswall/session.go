package awswall

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// maxSessionPolicy is the length of the Policy of AssumeRole, in characters.
const maxSessionPolicy = 2048

// sessionTags gives the session tags of an AssumeRole.
func sessionTags(form url.Values) map[string]string {
	out := map[string]string{}
	for i := 1; form.Has(fmt.Sprintf("Tags.member.%d.Key", i)); i++ {
		out[form.Get(fmt.Sprintf("Tags.member.%d.Key", i))] = form.Get(fmt.Sprintf("Tags.member.%d.Value", i))
	}
	return out
}

// readSessionPolicies takes the session policies of an AssumeRole, and refuses
// what STS refuses.
func (c *call) readSessionPolicies(ids *identities) *reply {
	refuse := func(code, text string) *reply {
		rep := c.refusal(http.StatusBadRequest, code, text)
		return &rep
	}
	if text := c.form.Get("Policy"); text != "" {
		if len(text) > maxSessionPolicy {
			return refuse("ValidationError", fmt.Sprintf("1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must have length less than or equal to %d", maxSessionPolicy))
		}
		doc, ok := parsePolicy(text)
		if !ok || !strings.Contains(text, `"Version"`) || len(doc.Statement) == 0 {
			return refuse("MalformedPolicyDocument", "The policy is not in the valid JSON format.")
		}
		c.sessionPolicies = append(c.sessionPolicies, doc)
	}
	for i := 1; c.form.Has(fmt.Sprintf("PolicyArns.member.%d.arn", i)); i++ {
		arn := c.form.Get(fmt.Sprintf("PolicyArns.member.%d.arn", i))
		doc, ok := ids.managed[arn]
		if !ok {
			return refuse("MalformedPolicyDocument", "The policy "+arn+" does not exist or is not attachable.")
		}
		c.sessionPolicies = append(c.sessionPolicies, doc)
	}
	return nil
}
