package finding

// Annotation is what a stage after triage writes back on a finding: a workflow
// status and a note. It goes through the same rules as BatchUpdateFindings.
type Annotation struct {
	Finding  ID     `json:"finding"`
	Workflow string `json:"workflow"` // NEW, NOTIFIED, RESOLVED, SUPPRESSED
	Note     string `json:"note"`     // at most 512 characters
	By       string `json:"by"`       // who: "parry/remediation/<id>"
}
