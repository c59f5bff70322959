package playbook

// Playbook maps a control to a runbook.
type Playbook struct {
	ID         string   `json:"id" yaml:"id"` // "S3.8"
	Title      string   `json:"title" yaml:"title"`
	Controls   []string `json:"controls" yaml:"controls"` // security control ids, compared case-insensitively
	Resource   string   `json:"resource" yaml:"resource"` // ASFF resource type: "AwsS3Bucket"
	Runbook    string   `json:"runbook" yaml:"runbook"`   // catalog/runbooks/<Name>
	Risk       string   `json:"risk" yaml:"risk"`         // low, medium, high
	Impact     string   `json:"impact" yaml:"impact"`     // what users of the resource may notice, for the approver
	Reversible bool     `json:"reversible" yaml:"reversible"`
	// Reads are live reads by name, made in order before anything else. Inputs
	// are templates over resource.* only.
	Reads []Read `json:"reads" yaml:"reads"`
	// Parameters give the runbook's parameters by name.
	Parameters map[string]Source `json:"parameters" yaml:"parameters"`
	// Checks are the one definition of "compliant": a violation is confirmed
	// when any fails on a live read, a fix is verified when all pass.
	Checks []Check `json:"checks" yaml:"checks"`
	// Note is written on the finding when it is resolved.
	Note string `json:"note" yaml:"note"`
	// Revision is the SHA-256 of the file, hexadecimal; filled by the loader.
	Revision string `json:"-" yaml:"-"`
}

// Read is one reading call, made with the member role in the resource's account.
type Read struct {
	Name      string            `json:"name" yaml:"name"`
	Service   string            `json:"service" yaml:"service"`
	Operation string            `json:"operation" yaml:"operation"`
	Input     map[string]string `json:"input" yaml:"input"` // value: literal or "resource.name", "resource.arn", "resource.account", "resource.region"
	// Absent lists the error codes that mean "there is none": the read then
	// gives an empty document.
	Absent []string `json:"absent" yaml:"absent"`
}

// Source says where a parameter's value comes from: exactly one of its fields.
type Source struct {
	Value    string `json:"value,omitempty" yaml:"value,omitempty"`       // literal
	Resource string `json:"resource,omitempty" yaml:"resource,omitempty"` // "name", "arn", "account", "region"
	// Derive names a pure function of the closed list in derive.go, applied to
	// the live read From.
	Derive string `json:"derive,omitempty" yaml:"derive,omitempty"`
	From   string `json:"from,omitempty" yaml:"from,omitempty"`
}

// Check is one test of the live resource: either Selector with Equals, or a
// named Predicate of the closed list in derive.go.
type Check struct {
	Name      string `json:"name" yaml:"name"`
	Read      string `json:"read" yaml:"read"` // name of a Read
	Selector  string `json:"selector,omitempty" yaml:"selector,omitempty"`
	Equals    string `json:"equals,omitempty" yaml:"equals,omitempty"`
	Predicate string `json:"predicate,omitempty" yaml:"predicate,omitempty"`
}
