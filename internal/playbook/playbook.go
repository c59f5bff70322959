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
	// Applies are what must hold for the control to be about the resource at all: a
	// key that can be rotated, the default group of a VPC. Where one does not, the
	// resource complies and nothing else is read of it.
	Applies []Check `json:"applies,omitempty" yaml:"applies"`
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
	// Sweep says how the resources of the control are found; nil = a sweep cannot.
	Sweep *Sweep `json:"sweep,omitempty" yaml:"sweep"`
	// Revision is the SHA-256 of the file, hexadecimal; filled by the loader.
	Revision string `json:"-" yaml:"-"`
}

// Read is one reading call, made with the member role in the resource's account.
type Read struct {
	Name      string `json:"name" yaml:"name"`
	Service   string `json:"service" yaml:"service"`
	Operation string `json:"operation" yaml:"operation"`
	// Input holds literals, lists and maps of them, or "resource.name", "resource.arn",
	// "resource.account", "resource.region".
	Input map[string]any `json:"input" yaml:"input"`
	// Absent lists the error codes that mean "there is none": the read then
	// gives an empty document.
	Absent []string `json:"absent" yaml:"absent"`
	// Deferred reads are made only where a check fails that they may excuse: only
	// Unless may name them.
	Deferred bool `json:"deferred,omitempty" yaml:"deferred"`
}

// Source says where a parameter's value comes from: value, resource, or derive with
// what belongs to it.
type Source struct {
	Value    string `json:"value,omitempty" yaml:"value,omitempty"`       // literal
	Resource string `json:"resource,omitempty" yaml:"resource,omitempty"` // "name", "arn", "account", "region"
	// Derive names a pure function of the closed list in derive.go, applied to
	// the live read From, at Selector, with the argument With, as far as it takes them.
	Derive   string `json:"derive,omitempty" yaml:"derive,omitempty"`
	From     string `json:"from,omitempty" yaml:"from,omitempty"`
	Selector string `json:"selector,omitempty" yaml:"selector,omitempty"`
	With     string `json:"with,omitempty" yaml:"with,omitempty"`
}

// Check is one test of the live resource: a Selector with exactly one of Equals,
// AtLeast, AtMost and Empty, or a named Predicate of the closed list in derive.go.
type Check struct {
	Name     string `json:"name" yaml:"name"`
	Read     string `json:"read" yaml:"read"` // name of a Read
	Selector string `json:"selector,omitempty" yaml:"selector,omitempty"`
	Equals   string `json:"equals,omitempty" yaml:"equals,omitempty"`
	// AtLeast and AtMost compare whole numbers; 0 = no limit. What is absent or 0 is
	// below AtLeast, and without a limit above AtMost.
	AtLeast int64 `json:"at_least,omitempty" yaml:"at_least,omitempty"`
	AtMost  int64 `json:"at_most,omitempty" yaml:"at_most,omitempty"`
	// Empty holds where the list is empty or absent.
	Empty     bool   `json:"empty,omitempty" yaml:"empty,omitempty"`
	Predicate string `json:"predicate,omitempty" yaml:"predicate,omitempty"`
	With      string `json:"with,omitempty" yaml:"with,omitempty"` // the predicate's argument
	// Unless excuses a check that fails: one of the terms holds.
	Unless []Term `json:"unless,omitempty" yaml:"unless,omitempty"`
	// Fixed checks belong to the fix and not to the control: they tell whether a fix
	// is there, and count neither as a violation nor in a sweep.
	Fixed bool `json:"fixed,omitempty" yaml:"fixed,omitempty"`
}

// Term holds where Selector of the read gives Equals.
type Term struct {
	Read     string `json:"read" yaml:"read"`
	Selector string `json:"selector" yaml:"selector"`
	Equals   string `json:"equals" yaml:"equals"`
}

// Sweep says how the resources of a control are found in an account, by reads alone.
type Sweep struct {
	// Per is "region": the resources are those of a Region, or "account": they are
	// looked for once in an account, in its first Region.
	Per string `json:"per" yaml:"per"`
	// List finds them; nil = the account itself is the resource.
	List *List `json:"list,omitempty" yaml:"list"`
}

// List is a listing, of all its pages, and how a resource is made of an item.
type List struct {
	Service   string         `json:"service" yaml:"service"`
	Operation string         `json:"operation" yaml:"operation"`
	Input     map[string]any `json:"input,omitempty" yaml:"input"` // as of a Read; resource.account and resource.region only
	Items     string         `json:"items" yaml:"items"`           // member of the answer that lists them
	// ARN is the resource's, with {partition}, {region}, {account} and members of the item.
	ARN string `json:"arn" yaml:"arn"`
	// Region is the member with the item's own Region; an item of another one is left
	// out. "" = it is that of the listing.
	Region string `json:"region,omitempty" yaml:"region"`
	// As names the read that would show the same item, which is then not made: the item
	// stands for its answer, as the only element of Items.
	As string `json:"as,omitempty" yaml:"as"`
}
