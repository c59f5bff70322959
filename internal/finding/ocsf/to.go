package ocsf

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/finding"
)

// residue is where a document that Parry wrote keeps what OCSF has no member for.
// It also says that the document is Parry's.
const residue = "asff"

// To gives f in OCSF 1.5. From gives f back.
func To(f finding.Finding) map[string]any {
	doc := f.Bare().Members()
	class := classOf(f)
	activity := activityUpdate
	switch {
	case f.Record() == finding.Archived:
		activity = activityClose
	case f.String("CreatedAt") == f.String("UpdatedAt"):
		activity = activityCreate
	}
	o := object{
		"category_uid": number(2), "category_name": "Findings",
		"class_uid": number(class), "class_name": className(class),
	}
	setActivity(o, activity)
	setSeverity(o, severityID(f.SeverityLabel()))
	setStatus(o, statusID(f.Workflow()))
	for _, p := range pairs() {
		put(o, p.ocsf, at(doc, p.asff))
	}
	for _, p := range times() {
		putTime(o, p.ocsf, text(doc, p.asff))
	}
	putTime(o, "time", f.String("UpdatedAt"))
	put(o, "metadata.uid", f.ID().Key())
	put(o, "metadata.version", written)
	put(o, "metadata.profiles", []any{"cloud", "datetime"})
	put(o, "cloud.provider", "AWS")
	put(o, "cloud.account.type", "AWS Account")
	put(o, "cloud.account.type_id", number(10))
	put(o, "finding_info.analytic.type", "Rule")
	put(o, "finding_info.analytic.type_id", number(1))
	toOwned(o, f)
	toCompliance(o, f)
	put(o, "resources", toResources(doc))
	put(o, "vulnerabilities", toVulnerabilities(doc))
	put(o, "evidences", toEvidences(doc))
	put(o, "malware", toMalware(doc))
	put(o, "remediation.references", links(text(doc, "Remediation.Recommendation.Url")))
	put(o, "message", f.Title())
	o["unmapped"] = object{residue: rest(doc, inverse(o, true))}
	return o
}

// rest gives the members of doc that back does not have or has otherwise; one
// that only back has is null.
func rest(doc, back object) object {
	out := object{}
	for name, v := range doc {
		if !reflect.DeepEqual(v, back[name]) {
			out[name] = v
		}
	}
	for name := range back {
		if _, ok := doc[name]; !ok {
			out[name] = nil
		}
	}
	return out
}

// classOf finds the class that says most about f.
func classOf(f finding.Finding) int {
	if f.Has("Compliance") {
		return Compliance
	}
	if f.Has("Vulnerabilities") {
		return Vulnerability
	}
	class := Detection
	f.Values([]string{"Types"}, func(v any) bool {
		switch s, _ := v.(string); {
		case strings.HasPrefix(s, "Sensitive Data Identifications"):
			class = DataSecurity
		case strings.HasPrefix(s, "Software and Configuration Checks/Vulnerabilities"):
			class = Vulnerability
		}
		return class == Detection
	})
	return class
}

func setActivity(o object, id int) {
	class, _ := integer(o, "class_uid")
	o["activity_id"], o["activity_name"] = number(id), activityName(id)
	o["type_uid"], o["type_name"] = number(class*100+id), className(class)+": "+activityName(id)
}

func setSeverity(o object, id int) { o["severity_id"], o["severity"] = number(id), Severity(id) }

func setStatus(o object, id int) { o["status_id"], o["status"] = number(id), Status(id) }

// toOwned writes what customers and providers say of the finding apart.
func toOwned(o object, f finding.Finding) {
	put(o, "comment", f.String("Note", "Text"))
	if id, caption := verdictID(f.String("VerificationState")); id != unknown {
		o["verdict_id"], o["verdict"] = number(id), caption
	}
	if l := finding.Label(f.String("FindingProviderFields", "Severity", "Label")); l.Valid() {
		put(o, "vendor_attributes.severity_id", number(severityID(l)))
		put(o, "vendor_attributes.severity", Severity(severityID(l)))
	}
	var related []any
	for _, r := range objects(f.Members(), "RelatedFindings") {
		e := object{}
		put(e, "uid", text(r, "Id"))
		put(e, "product.uid", text(r, "ProductArn"))
		related = append(related, e)
	}
	if len(related) > 0 {
		put(o, "finding_info.related_events", related)
		put(o, "finding_info.related_events_count", number(len(related)))
	}
}

func toCompliance(o object, f finding.Finding) {
	if !f.Has("Compliance") {
		return
	}
	id, caption := complianceID(f.Compliance())
	put(o, "compliance.status_id", number(id))
	put(o, "compliance.status", caption)
	var standards, parameters []any
	for _, s := range objects(f.Members(), "Compliance.AssociatedStandards") {
		if id := text(s, "StandardsId"); id != "" {
			standards = append(standards, id)
		}
	}
	for _, p := range objects(f.Members(), "Compliance.SecurityControlParameters") {
		e := object{}
		put(e, "name", text(p, "Name"))
		put(e, "values", texts(p, "Value"))
		parameters = append(parameters, e)
	}
	put(o, "compliance.standards", standards)
	put(o, "compliance.control_parameters", parameters)
}

// resourcePairs are the members of a resource that both formats have.
func resourcePairs() []pair {
	return []pair{{"Id", "uid"}, {"Type", "type"}, {"Region", "region"}, {"Partition", "cloud_partition"}}
}

// toResources writes resources; what of them OCSF has no member for is data.
func toResources(doc object) []any {
	var out []any
	for _, r := range objects(doc, "Resources") {
		e, data := object{}, maps.Clone(r)
		for _, p := range resourcePairs() {
			put(e, p.ocsf, r[p.asff])
			delete(data, p.asff)
		}
		tags, _ := r["Tags"].(object)
		if list := toTags(tags); list != nil {
			put(e, "tags", list)
			delete(data, "Tags")
		}
		put(e, "owner.account.uid", text(r, "Owner.AccountId"))
		put(e, "data", data)
		out = append(out, e)
	}
	return out
}

// toTags gives nil for tags that are no texts: they are left as they are.
func toTags(tags object) []any {
	var out []any
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		value, ok := tags[name].(string)
		if !ok {
			return nil
		}
		out = append(out, object{"name": name, "value": value})
	}
	return out
}

func links(url string) []any {
	if url == "" {
		return nil
	}
	return []any{url}
}
