package playbook

import (
	"regexp"
	"strings"
	"sync"
)

// nameOf gives the name of a resource as the operations of its service take it, from the
// last field of its ARN: "team/app" of "repository/team/app". Where no row says otherwise it
// is the last part: ids have no "/" or ":", and IAM wants names without their path.
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
func nameOf(service, text string) string {
	for _, form := range nameForms()[service] {
		if m := form.FindStringSubmatch(text); m != nil {
			return m[1]
		}
	}
	return text[strings.LastIndexAny(text, "/:")+1:]
}

// nameForms are the ARNs whose name is not their last part, by service; the group is the
// name, and the first form that matches counts.
var nameForms = sync.OnceValue(func() map[string][]*regexp.Regexp {
	out := map[string][]*regexp.Regexp{}
	for service, forms := range map[string][]string{
		"autoscaling":      {`:(?:autoScalingGroup|launchConfiguration)Name/(.+)$`},
		"batch":            {`^job-definition/(.+)$`}, // with its revision
		"cloudformation":   {`^stack/([^/]+)/`, `^stackset/([^:]+):`},
		"cloudwatch":       {`^alarm:(.+)$`},
		"cognito-identity": {`^identitypool/(.+)$`}, // an id begins with its Region and ":"
		"ecr":              {`^repository/(.+)$`},
		"ecr-public":       {`^repository/(.+)$`},
		"ecs":              {`^task-definition/(.+)$`}, // with its revision
		"eks":              {`^(?:nodegroup|addon|fargateprofile)/[^/]+/([^/]+)/`},
		"elasticloadbalancing": {
			`^loadbalancer/(?:app|net|gwy)/([^/]+)/`, // of version 2; a classic one has no id
			`^targetgroup/([^/]+)/`,
		},
		"events":   {`^event-bus/(.+)$`}, // those of partners hold "/"
		"kafka":    {`^cluster/([^/]+)/`},
		"kms":      {`^(alias/.+)$`}, // operations take it with its prefix
		"lambda":   {`^(?:function|layer):([^:]+)`},
		"logs":     {`^log-group:[^:]+:log-stream:(.+)$`, `^log-group:([^:]+)`},
		"rds":      {`^[a-z-]+:(.+)$`},        // automatic snapshots are called "rds:..."
		"redshift": {`^snapshot:[^/]+/(.+)$`}, // automatic ones are called "rs:..."
		// AWS adds six characters to the name. What lacks them is taken as it is.
		"secretsmanager": {`^secret:(.+)-[A-Za-z0-9]{6}$`, `^secret:(.+)$`},
		// A name in a hierarchy begins with "/", which the ARN has only once.
		"ssm":   {`^parameter(/[^/]+/.+)$`, `^automation-definition/([^:]+):`},
		"wafv2": {`^(?:global|regional)/[a-z]+/([^/]+)/`},
	} {
		for _, form := range forms {
			out[service] = append(out[service], regexp.MustCompile(form))
		}
	}
	return out
})
