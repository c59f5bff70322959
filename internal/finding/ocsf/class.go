package ocsf

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/parry-security/parry/internal/finding"
)

// The classes of finding.
const (
	Vulnerability       = 2002
	Compliance          = 2003
	Detection           = 2004
	DataSecurity        = 2006
	ApplicationSecurity = 2007
)

// The values of severity_id, status_id and activity_id that Parry gives a
// meaning: https://schema.ocsf.io/1.5.0/classes/detection_finding
const (
	unknown = 0
	other   = 99

	fatal = 6

	statusNew, statusInProgress, statusSuppressed, statusResolved, statusArchived, statusDeleted = 1, 2, 3, 4, 5, 6

	activityCreate, activityUpdate, activityClose = 1, 2, 3
)

// written is the version of the documents that Parry writes.
const written = "1.5.0"

func className(uid int) string {
	switch uid {
	case Vulnerability:
		return "Vulnerability Finding"
	case Compliance:
		return "Compliance Finding"
	case Detection:
		return "Detection Finding"
	case DataSecurity:
		return "Data Security Finding"
	case ApplicationSecurity:
		return "Application Security Posture Finding"
	}
	return ""
}

// Severity gives the caption of a severity_id, "" for one that OCSF does not have.
func Severity(id int) string {
	switch id {
	case unknown:
		return "Unknown"
	case 1, 2, 3, 4, 5:
		return [...]string{"Informational", "Low", "Medium", "High", "Critical"}[id-1]
	case fatal:
		return "Fatal"
	case other:
		return "Other"
	}
	return ""
}

// Status gives the caption of a status_id, "" for one that OCSF does not have.
func Status(id int) string {
	switch id {
	case unknown:
		return "Unknown"
	case statusNew:
		return "New"
	case statusInProgress:
		return "In Progress"
	case statusSuppressed:
		return "Suppressed"
	case statusResolved:
		return "Resolved"
	case statusArchived:
		return "Archived"
	case statusDeleted:
		return "Deleted"
	case other:
		return "Other"
	}
	return ""
}

func activityName(id int) string {
	switch id {
	case activityCreate:
		return "Create"
	case activityUpdate:
		return "Update"
	case activityClose:
		return "Close"
	case unknown:
		return "Unknown"
	case other:
		return "Other"
	}
	return ""
}

// Label gives the severity label of a severity_id. ASFF has no word for a
// severity that is unknown or another's; the original text is kept beside it.
func Label(id int) finding.Label {
	switch id {
	case 2:
		return finding.Low
	case 3:
		return finding.Medium
	case 4:
		return finding.High
	case 5, fatal:
		return finding.Critical
	}
	return finding.Informational
}

func severityID(l finding.Label) int {
	return 1 + max(0, slices.Index(finding.Labels(), l))
}

// Workflow gives the workflow status of a status_id. What OCSF calls archived or
// deleted is ASFF's record state; as the customer's word it is an end.
func Workflow(id int) finding.Workflow {
	switch id {
	case statusInProgress:
		return finding.Notified
	case statusSuppressed:
		return finding.Suppressed
	case statusResolved, statusArchived, statusDeleted:
		return finding.Resolved
	}
	return finding.New
}

func statusID(w finding.Workflow) int {
	switch w {
	case finding.Notified:
		return statusInProgress
	case finding.Suppressed:
		return statusSuppressed
	case finding.Resolved:
		return statusResolved
	}
	return statusNew
}

// complianceID gives compliance.status_id and its caption.
func complianceID(c finding.Compliance) (int, string) {
	switch c {
	case finding.Passed:
		return 1, "Pass"
	case finding.Warning:
		return 2, "Warning"
	case finding.Failed:
		return 3, "Fail"
	}
	return unknown, "Unknown"
}

// verdictID gives verdict_id and its caption, 0 for a state that says nothing.
func verdictID(state string) (int, string) {
	switch state {
	case "FALSE_POSITIVE":
		return 1, "False Positive"
	case "TRUE_POSITIVE":
		return 2, "True Positive"
	case "BENIGN_POSITIVE":
		return 5, "Benign"
	}
	return unknown, ""
}

func number(n int) json.Number { return json.Number(strconv.Itoa(n)) }
