package health

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/normalize/event"
)

// The names by which EventBridge tells Health's events.
const (
	Source     = "aws.health"
	DetailType = "AWS Health Event"
	AbuseType  = "AWS Health Abuse Event"
)

// Finding gives the ASFF document of an event that is about security, nil for
// any other.
// https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-internal-providers.html#integration-health
func Finding(e event.Event) (map[string]any, error) {
	d := e.Detail
	arn, code := d.Text("eventArn"), d.Text("eventTypeCode")
	if arn == "" || code == "" {
		return nil, fault.Errorf(fault.Invalid, "read Health event", "eventArn or eventTypeCode is missing")
	}
	if !aboutSecurity(d.Text("service"), code) {
		return nil, nil //nolint:nilnil // No finding is an answer: an outage is none.
	}
	e.Region = event.First(d.Text("eventRegion"), e.Region)
	if e.Region == "global" {
		e.Region = "us-east-1"
	}
	start := d.Time("startTime")
	account := event.First(d.Text("affectedAccount"), e.Account)
	updated := event.Latest(d.Time("lastUpdatedTime"), d.Time("endTime"), start)
	sum := sha256.Sum256([]byte(d.Text("startTime")))
	description := ""
	for _, text := range d.Docs("eventDescription") {
		description = event.First(description, text.Text("latestDescription"))
	}
	doc := e.Finding("health", arn+"/"+hex.EncodeToString(sum[:16]), code, account, "AWS Health - "+code, description, start, updated)
	event.Set(doc, "FirstObservedAt", start)
	event.Set(doc, "LastObservedAt", updated)
	doc["Severity"] = event.Severity(severity(d.Text("service"), code), "")
	doc["Types"] = []any{"Software and Configuration Checks"}
	if d.Text("statusCode") == "closed" {
		doc["RecordState"] = "ARCHIVED"
	}
	doc["Resources"] = resources(e, account)
	f := event.Fields{}
	f.Set("aws/health/service", d.Text("service"))
	f.Set("aws/health/eventTypeCategory", d.Text("eventTypeCategory"))
	f.Set("aws/health/communicationId", d.Text("communicationId"))
	f.Set("aws/health/statusCode", d.Text("statusCode"))
	doc["ProductFields"] = f
	return doc, nil
}

// aboutSecurity is Health's own choice of what it sends to Security Hub: abuse,
// risk, certificates, notifications of security, and the security services.
func aboutSecurity(service, code string) bool {
	return severity(service, code) != "LOW" || strings.Contains(code, "SECURITY") || strings.Contains(code, "VULNERABILITY")
}

// severity is Security Hub's for events of Health.
func severity(service, code string) string {
	switch {
	case service == "RISK", code == "AWS_S3_OPEN_ACCESS_BUCKET_NOTIFICATION", strings.HasPrefix(code, "AWS_SHIELD_INTERNET_TRAFFIC_LIMITATIONS"), strings.HasPrefix(code, "AWS_SHIELD_IS_RESPONDING_TO_A_DDOS_ATTACK"):
		return "CRITICAL"
	case service == "ABUSE", strings.Contains(code, "SECURITY_NOTIFICATION"), strings.Contains(code, "ABUSE_DETECTION"):
		return "HIGH"
	case strings.Contains(code, "CERTIFICATE"), mediumService(service):
		return "MEDIUM"
	}
	return "LOW"
}

func mediumService(service string) bool {
	switch service {
	case "ACM", "ARTIFACT", "AUDITMANAGER", "BACKUP", "CLOUDENDURE", "CLOUDHSM", "CLOUDTRAIL", "CLOUDWATCH", "CODEGURU", "COGNITO", "CONFIG", "CONTROLTOWER",
		"DETECTIVE", "DIRECTORYSERVICE", "DRS", "EVENTS", "FIREWALLMANAGER", "GUARDDUTY", "IAM", "INSPECTOR", "IOTDEVICEDEFENDER", "KMS", "MACIE", "NETWORKFIREWALL",
		"ORGANIZATIONS", "RESILIENCEHUB", "RESOURCEMANAGER", "ROUTE53", "SECURITYHUB", "SECRETSMANAGER", "SES", "SHIELD", "SSO", "WAF":
		return true
	}
	return false
}

// maxResources is ASFF's.
const maxResources = 32

func resources(e event.Event, account string) []any {
	var out []any
	for _, x := range e.Detail.Docs("affectedEntities") {
		if v := x.Text("entityValue"); v != "" && len(out) < maxResources {
			out = append(out, map[string]any{"Type": "Other", "Id": v, "Partition": e.Partition(), "Region": e.Region})
		}
	}
	if len(out) == 0 {
		out = append(out, map[string]any{"Type": "AwsAccount", "Id": "AWS::::Account:" + account, "Partition": e.Partition(), "Region": e.Region})
	}
	return out
}
