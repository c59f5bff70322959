package ocsf

import "github.com/parry-security/parry/internal/finding"

// Choice is a value of a member of ASFF, and what a View may then say: one
// document for each possibility, with the members in question alone.
type Choice struct {
	Value string
	Views []map[string]any
}

// Severities gives the choices of Severity.Label.
func Severities() []Choice {
	var out []Choice
	for _, l := range finding.Labels() {
		c := Choice{Value: string(l)}
		for _, id := range []int{unknown, 1, 2, 3, 4, 5, fatal, other} {
			if Label(id) == l {
				v := object{}
				setSeverity(v, id)
				c.Views = append(c.Views, v)
			}
		}
		out = append(out, c)
	}
	return out
}

// Statuses gives the choices of Workflow.Status.
func Statuses() []Choice {
	var out []Choice
	for _, w := range finding.Workflows() {
		c := Choice{Value: string(w)}
		for _, id := range []int{unknown, statusNew, statusInProgress, statusSuppressed, statusResolved, statusArchived, statusDeleted, other} {
			if Workflow(id) == w {
				v := object{}
				setStatus(v, id)
				c.Views = append(c.Views, v)
			}
		}
		out = append(out, c)
	}
	return out
}

// Activities gives the choices of RecordState.
func Activities() []Choice {
	view := func(id int) map[string]any {
		o := object{}
		setActivity(o, id)
		return o
	}
	return []Choice{
		{string(finding.Active), []map[string]any{view(unknown), view(activityCreate), view(activityUpdate), view(other)}},
		{string(finding.Archived), []map[string]any{view(activityClose)}},
	}
}

// ComplianceStatuses gives the choices of Compliance.Status, "" for none.
func ComplianceStatuses() []Choice {
	out := []Choice{{"", []map[string]any{{}}}}
	for _, s := range []finding.Compliance{finding.Passed, finding.Warning, finding.Failed, finding.NotAvailable} {
		id, caption := complianceID(s)
		out = append(out, Choice{string(s), []map[string]any{{"compliance": object{"status_id": number(id), "status": caption}}}})
	}
	return out
}
