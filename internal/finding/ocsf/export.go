package ocsf

import (
	"reflect"

	"github.com/parry-security/parry/internal/finding"
)

// Export gives f in OCSF: the document that it came as, where it came in OCSF,
// with what customers and rules have changed since written over it; else To.
func Export(f finding.Finding) map[string]any {
	kept, ok := f.Members()[finding.OCSF].(object)
	if !ok {
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
// that the hub owns. metadata.uid names the finding in Parry; a provider's own is
// then metadata.original_event_uid.
func View(f finding.Finding) map[string]any {
	o := Export(f)
	if uid := text(o, "metadata.uid"); uid != "" && uid != f.ID().Key() && at(o, "metadata.original_event_uid") == nil {
		put(o, "metadata.original_event_uid", uid)
	}
	put(o, "metadata.uid", f.ID().Key())
	put(o, "cloud.account.uid", f.Account())
	put(o, "cloud.region", f.Region())
	putTime(o, "finding_info.created_time", f.String("CreatedAt"))
	putTime(o, "finding_info.modified_time", f.String("UpdatedAt"))
	if f.Compliance() != "" {
		id, caption := complianceID(f.Compliance())
		put(o, "compliance.status_id", number(id))
		put(o, "compliance.status", caption)
	}
	return o
}

// JSON writes a document.
func JSON(o map[string]any) []byte { return finding.Wrap(o).JSON() }
