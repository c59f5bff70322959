package ocsf

import (
	"maps"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
)

// From gives the finding that a document says, in ASFF. It is not validated
// further, and the document is not kept in it: see Keep. An error says what the
// document lacks.
func From(o map[string]any) (finding.Finding, error) {
	left, own := at(o, "unmapped."+residue).(object)
	doc := inverse(o, own)
	if !own {
		if err := complete(o, doc); err != nil {
			return finding.Finding{}, err
		}
		return finding.Wrap(doc), nil
	}
	for name, v := range left {
		switch {
		case name == "AwsAccountId" || name == "Id" || name == "ProductArn" || name == finding.OCSF:
			// What says whose finding it is stands in one place only.
			return finding.Finding{}, fault.Errorf(fault.Invalid, "read OCSF", "unmapped.asff may not hold %s", name)
		case v == nil:
			delete(doc, name)
		default:
			doc[name] = v
		}
	}
	return finding.Wrap(doc), nil
}

// Keep gives f with the document that it came as. One that Parry wrote says
// nothing that f does not.
func Keep(f finding.Finding, o map[string]any) finding.Finding {
	if _, own := at(o, "unmapped."+residue).(object); own {
		return f
	}
	return f.With(finding.OCSF, o)
}

// inverse copies what both formats have. Own says that Parry wrote the document:
// only then are resources' data members of ASFF.
func inverse(o object, own bool) object {
	doc := object{"SchemaVersion": "2018-10-08", "RecordState": string(finding.Active)}
	for _, p := range pairs() {
		if v := at(o, p.ocsf); v != nil {
			put(doc, p.asff, clone(v))
		}
	}
	for _, p := range times() {
		put(doc, p.asff, stamp(o, p.ocsf))
	}
	if id, ok := integer(o, "severity_id"); ok {
		label := Label(id)
		doc["Severity"] = object{"Label": string(label), "Normalized": number(label.Normalized())}
	}
	if id, ok := integer(o, "status_id"); ok {
		doc["Workflow"] = object{"Status": string(Workflow(id))}
	}
	if closed(o) {
		doc["RecordState"] = string(finding.Archived)
	}
	if id, ok := integer(o, "verdict_id"); ok {
		for _, state := range []string{"FALSE_POSITIVE", "TRUE_POSITIVE", "BENIGN_POSITIVE"} {
			if n, _ := verdictID(state); n == id {
				doc["VerificationState"] = state
			}
		}
	}
	fromCompliance(o, doc)
	var related []any
	for _, e := range objects(o, "finding_info.related_events") {
		r := object{}
		put(r, "Id", text(e, "uid"))
		put(r, "ProductArn", text(e, "product.uid"))
		related = append(related, r)
	}
	put(doc, "RelatedFindings", related)
	if urls := texts(o, "remediation.references"); len(urls) > 0 {
		put(doc, "Remediation.Recommendation.Url", urls[0])
	}
	put(doc, "Resources", fromResources(o, own))
	return doc
}

// closed reports whether the provider no longer observes the finding.
func closed(o object) bool {
	activity, _ := integer(o, "activity_id")
	status, _ := integer(o, "status_id")
	return activity == activityClose || status == statusArchived || status == statusDeleted
}

func fromCompliance(o, doc object) {
	c, ok := o["compliance"].(object)
	if !ok {
		return
	}
	id, known := integer(c, "status_id")
	caption := text(c, "status")
	if known || caption != "" {
		put(doc, "Compliance.Status", string(finding.NotAvailable))
	}
	for _, s := range []finding.Compliance{finding.Passed, finding.Warning, finding.Failed, finding.NotAvailable} {
		n, name := complianceID(s)
		if known && n == id || !known && name == caption {
			put(doc, "Compliance.Status", string(s))
		}
	}
	var standards, parameters []any
	for _, s := range texts(c, "standards") {
		standards = append(standards, object{"StandardsId": s})
	}
	for _, p := range objects(c, "control_parameters") {
		e := object{}
		put(e, "Name", text(p, "name"))
		put(e, "Value", texts(p, "values"))
		if s := text(p, "value"); s != "" && e["Value"] == nil {
			put(e, "Value", []any{s})
		}
		parameters = append(parameters, e)
	}
	put(doc, "Compliance.AssociatedStandards", standards)
	put(doc, "Compliance.SecurityControlParameters", parameters)
}

func fromResources(o object, own bool) []any {
	var out []any
	for _, r := range objects(o, "resources") {
		e := object{}
		if data, ok := r["data"].(object); ok && own {
			maps.Copy(e, data)
		}
		for _, p := range resourcePairs() {
			put(e, p.asff, r[p.ocsf])
		}
		if tags := fromTags(r, own); len(tags) > 0 {
			e["Tags"] = tags
		}
		out = append(out, e)
	}
	return out
}

func fromTags(r object, own bool) object {
	tags := object{}
	finding.Wrap(r).NamedPairs([]string{"tags"}, func(k, v string) bool {
		tags[k] = v
		return len(tags) < 200
	})
	if own {
		return tags
	}
	for _, l := range texts(r, "labels") {
		label, _ := l.(string)
		if name, value, ok := splitLabel(label); ok && tags[name] == nil && len(tags) < 200 {
			tags[name] = value
		}
	}
	return tags
}
