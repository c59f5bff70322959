package finding

import "slices"

// Touched names the attributes of a finding that a customer has set, sorted.
// A provider's later update does not overwrite them at the top level.
type Touched []string

// Has reports whether the customer has set attribute.
func (t Touched) Has(attribute string) bool { return slices.Contains(t, attribute) }

// With gives t with attributes added.
func (t Touched) With(attributes ...string) Touched {
	out := slices.Concat(t, attributes)
	slices.Sort(out)
	return slices.Compact(out)
}

// shared gives the attributes that provider and customer both may write, and
// that the provider states in FindingProviderFields.
func shared() []string {
	return []string{"Confidence", "Criticality", "RelatedFindings", "Severity", "Types"}
}

// owned gives the attributes that a provider may set only when it creates a
// finding; later they are the customer's.
func owned() []string {
	return []string{"Note", OCSFChoice, "UserDefinedFields", "VerificationState", "Workflow"}
}
