package finding

// ID is a finding's identity: Id and ProductArn together (spec/securityhub.md
// section 10, rule 1). Id alone is not unique.
type ID struct {
	ProductArn string `json:"ProductArn"`
	Id         string `json:"Id"` //nolint:revive // AWS spells it so.
}

// String gives the form in which Parry prints and stores the identity and in
// which EventBridge names the finding: "<ProductArn>/<Id>".
func (id ID) String() string { return id.ProductArn + "/" + id.Id }

// IsZero reports whether id names no finding.
func (id ID) IsZero() bool { return id == ID{} }
