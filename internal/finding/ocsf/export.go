package ocsf

import (
	"reflect"

	"github.com/parry-security/parry/internal/finding"
)

// Export gives f in OCSF: the document that it came as, where it came in OCSF,
// with what customers and rules have changed since written over it; else To.
func Export(f finding.Finding) map[string]any {
	kept, ok := f.Members()[finding.OCSF].(object)
	if _, own := at(kept, "unmapped."+residue).(object); !ok || own {
		return To(f)
	}
	came, err := From(kept)
	if err != nil || came.ID() != f.ID() || came.Account() != f.Account() {
		// Not the document of this finding, whoever put it there.
		return To(f)
	}
	o, _ := clone(kept).(object)
	overlay(o, finding.Create(came), f)
	return o
}

// overlay writes over o what differs between the finding that o says and f.
func overlay(o object, came, f finding.Finding) {
	if came.SeverityLabel() != f.SeverityLabel() {
		put(o, "vendor_attributes.severity_id", o["severity_id"])
		put(o, "vendor_attributes.severity", o["severity"])
		setSeverity(o, severityID(f.SeverityLabel()))
	}
	if came.Workflow() != f.Workflow() {
		setStatus(o, statusID(f.Workflow()))
	}
	if came.Record() != f.Record() {
		activity := activityUpdate
		if f.Record() == finding.Archived {
			activity = activityClose
		}
		setActivity(o, activity)
	}
	if note := f.String("Note", "Text"); note != came.String("Note", "Text") {
		put(o, "comment", note)
	}
	if v := f.Members()["Confidence"]; !reflect.DeepEqual(v, came.Members()["Confidence"]) {
		put(o, "confidence_score", v)
	}
	if v := f.Members()["Types"]; !reflect.DeepEqual(v, came.Members()["Types"]) {
		put(o, "finding_info.types", v)
	}
	if id, caption := verdictID(f.String("VerificationState")); f.String("VerificationState") != came.String("VerificationState") {
		o["verdict_id"], o["verdict"] = number(id), caption
	}
}

// View gives f as Security Hub's API of OCSF shows it: Export with the members
// that the hub owns, which say what the finding in ASFF says whatever the document
// that came said. metadata.uid names the finding in Parry; a provider's own is then
// metadata.original_event_uid.
func View(f finding.Finding) map[string]any {
	o := Export(f)
	if uid := text(o, "metadata.uid"); uid != "" && uid != f.ID().Key() && at(o, "metadata.original_event_uid") == nil {
		put(o, "metadata.original_event_uid", uid)
	}
	put(o, "metadata.uid", f.ID().Key())
	put(o, "cloud.account.uid", f.Account())
	replace(o, "cloud", "region", f.Region())
	putTime(o, "finding_info.created_time", f.String("CreatedAt"))
	putTime(o, "finding_info.modified_time", f.String("UpdatedAt"))
	viewCompliance(o, f)
	viewChoices(o, f)
	return o
}

// replace sets a text, or removes the member when there is none.
func replace(o object, parent, name, value string) {
	put(o, parent+"."+name, value)
	if m, ok := o[parent].(object); ok && value == "" {
		delete(m, name)
	}
}

func viewCompliance(o object, f finding.Finding) {
	if f.Compliance() == "" {
		if m, ok := o["compliance"].(object); ok {
			delete(m, "status")
			delete(m, "status_id")
		}
		return
	}
	id, caption := complianceID(f.Compliance())
	put(o, "compliance.status_id", number(id))
	put(o, "compliance.status", caption)
}

// viewChoices writes what one value of ASFF may be in several words of OCSF: the
// customer's, else the provider's, where that is the same in ASFF.
func viewChoices(o object, f finding.Finding) {
	chosen, _ := f.Members()[finding.OCSFChoice].(object)
	severity := severityID(f.SeverityLabel())
	status := statusID(f.Workflow())
	for _, from := range []object{o, chosen} {
		if id, ok := integer(from, "severity_id"); ok && Severity(id) != "" && Label(id) == f.SeverityLabel() {
			severity = id
		}
		if id, ok := integer(from, "status_id"); ok && Status(id) != "" && Workflow(id) == f.Workflow() {
			status = id
		}
	}
	setSeverity(o, severity)
	setStatus(o, status)
	activity, ok := integer(o, "activity_id")
	switch archived := f.Record() == finding.Archived; {
	case archived:
		activity = activityClose
	case !ok || activity == activityClose || activityName(activity) == "":
		activity = activityUpdate
	}
	setActivity(o, activity)
}

// JSON writes a document.
func JSON(o map[string]any) []byte { return finding.Wrap(o).JSON() }
