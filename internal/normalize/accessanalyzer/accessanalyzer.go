package accessanalyzer

import (
	"sort"
	"strings"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/normalize/event"
)

// Source is the service's name on the bus.
const Source = "aws.access-analyzer"

// DetailTypes are the kinds of its findings.
func DetailTypes() []string {
	return []string{"Access Analyzer Finding", "Unused Access Finding for IAM entities", "Internal Access Finding"}
}

// Finding gives the ASFF document of the event's finding.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-securityhub-integration.html
//
// Security Hub's copy has one finding for each resource, which the analyzer
// puts together from all of its own; an event tells of one of them, so here
// each is a finding, with the analyzer's finding id behind the resource.
func Finding(e event.Event) (map[string]any, error) {
	d := e.Detail
	id, resource := event.First(d.Text("id"), d.Text("findingId")), d.Text("resource")
	if id == "" || resource == "" || len(e.Resources) == 0 {
		return nil, fault.Errorf(fault.Invalid, "read Access Analyzer finding", "the event lacks the finding's id, its resource or the analyzer")
	}
	kind := event.ResourceType(d.Text("resourceType"))
	what := describe(d)
	doc := e.Finding("access-analyzer", e.Resources[0]+"/"+resource+"/"+id, "aws/access-analyzer", event.First(d.Text("accountId"), e.Account),
		kind+"/"+resource+"/ "+what.title, d.Text("resourceType")+"/"+resource+"/ "+what.description, d.Time("createdAt"),
		event.Latest(d.Time("updatedAt"), d.Time("analyzedAt")))
	doc["Severity"] = event.Severity(what.severity, "")
	doc["Types"] = []any{what.asffType}
	if d.Bool("isDeleted") || d.Text("status") == "ARCHIVED" || d.Text("status") == "RESOLVED" {
		doc["RecordState"] = "ARCHIVED"
		// A deletion changes nothing of the finding but comes later.
		if d.Bool("isDeleted") && !e.Time.IsZero() {
			doc["UpdatedAt"] = event.Latest(doc["UpdatedAt"].(string), event.Timestamp(e.Time.UTC().Format("2006-01-02T15:04:05.000Z")))
		}
	}
	doc["SourceUrl"] = "https://console.aws.amazon.com/access-analyzer/home?region=" + e.Region + "#/findings/details/" + id
	res := map[string]any{"Type": kind, "Id": resource, "Partition": e.Partition(), "Region": event.First(d.Text("region"), e.Region)}
	event.Set(res, "Details", map[string]any{"Other": other(d)})
	doc["Resources"] = []any{res}
	f := event.Fields{}
	f.Set("findingId", id)
	f.Set("findingType", event.First(d.Text("findingType"), "ExternalAccess"))
	f.Set("status", d.Text("status"))
	f.Set("error", d.Text("error"))
	f.Set("numberOfUnusedActions", d.Text("numberOfUnusedActions"))
	f.Set("numberOfUnusedServices", d.Text("numberOfUnusedServices"))
	doc["ProductFields"] = f
	return doc, nil
}

type words struct{ title, description, severity, asffType string }

func describe(d event.Doc) words {
	const practices = "Software and Configuration Checks/AWS Security Best Practices/"
	switch kind := d.Text("findingType"); {
	case d.Text("error") != "":
		return words{"could not be analyzed", "could not be analyzed: " + d.Text("error"), "LOW", practices + "Access Analysis Error"}
	case strings.HasPrefix(kind, "Unused"):
		name := map[string]string{
			"UnusedIAMRole": "Unused IAM Role", "UnusedIAMUserAccessKey": "Unused IAM User Access Key",
			"UnusedIAMUserPassword": "Unused IAM User Password", "UnusedPermission": "Unused Permission",
		}[kind]
		if name == "" {
			name = "Unused Access"
		}
		return words{"contains " + strings.ToLower(name), "contains " + strings.ToLower(name), "MEDIUM", practices + name}
	case kind == "InternalAccess":
		return words{"allows internal access", "allows internal access from " + principals(d), "LOW", practices + "Internal Access Granted"}
	case d.Bool("isPublic"):
		return words{"allows public access", "allows public access", "HIGH", "Effects/Data Exposure/External Access Granted"}
	}
	return words{"allows cross-account access", "allows cross-account access from " + principals(d), "LOW", practices + "External Access Granted"}
}

// principals names who has access, in the order of their kinds.
func principals(d event.Doc) string {
	p := d.Doc("principal")
	kinds := make([]string, 0, len(p))
	for k := range p {
		kinds = append(kinds, k)
	}
	sort.Strings(kinds)
	for i, k := range kinds {
		kinds[i] = k + " " + p.Text(k)
	}
	return strings.Join(kinds, ", ")
}

// other is what ASFF's example of the service has in Details.Other.
func other(d event.Doc) map[string]any {
	out := map[string]any{}
	event.Set(out, "Action Granted", strings.Join(d.Texts("action"), ","))
	for _, k := range []string{"AWS", "Federated", "Service", "CanonicalUser"} {
		if who := d.Text("principal", k); who != "" {
			out["External Principal Type"], out["External Principal"] = k, who
			break
		}
	}
	if c := d.Doc("condition"); c != nil {
		out["Condition"] = "none"
		if len(c) > 0 {
			names := make([]string, 0, len(c))
			for n := range c {
				names = append(names, n+"="+c.Text(n))
			}
			sort.Strings(names)
			out["Condition"] = strings.Join(names, ",")
		}
	}
	return out
}
