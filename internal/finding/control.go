package finding

import "strings"

// Controls gives the security control ids that f is about, most likely first.
// It is empty for a finding that is no control's. A rule of an old benchmark
// may stand for more than one control.
//
// The order of trust: the control id that the finding names, the consolidated
// generator id, the table of standards, then the product's own fields.
func (f Finding) Controls() []string {
	if id := f.String("Compliance", "SecurityControlId"); id != "" {
		return []string{id}
	}
	if ids := generatorControls(f.String("GeneratorId")); len(ids) > 0 {
		return ids
	}
	for _, member := range []string{"ControlId", "RuleId"} {
		id := f.String("ProductFields", member)
		if id = strings.TrimPrefix(strings.TrimPrefix(id, "CT."), "PCI."); controlLike(id) {
			return []string{id}
		}
	}
	return nil
}

// Control gives the first of Controls, or "".
func (f Finding) Control() string {
	if ids := f.Controls(); len(ids) > 0 {
		return ids[0]
	}
	return ""
}

// SameControl compares control ids as Security Hub's own data requires:
// "iam.9" and "IAM.9" are one control.
func SameControl(a, b string) bool { return strings.EqualFold(a, b) }

// Is reports whether f is about control.
func (f Finding) Is(control string) bool {
	for _, id := range f.Controls() {
		if SameControl(id, control) {
			return true
		}
	}
	return false
}

// generatorControls reads a generator id of any standard, in the full ARN form
// (with and without a region) and in the short form.
func generatorControls(generator string) []string {
	if strings.HasPrefix(generator, "arn:") {
		parts := strings.SplitN(generator, ":", 6)
		if len(parts) != 6 || parts[2] != "securityhub" {
			return nil
		}
		_, generator, _ = strings.Cut(parts[5], "/")
	}
	if id, ok := strings.CutPrefix(generator, "security-control/"); ok {
		if controlLike(id) {
			return []string{id}
		}
		return nil
	}
	standard, rest, ok := strings.Cut(generator, "/v/")
	if !ok {
		return nil
	}
	version, rule, ok := strings.Cut(rest, "/")
	if !ok {
		return nil
	}
	return standardControls(standard, version, strings.TrimPrefix(rule, "rule/"))
}

// standardControls maps a standard's own rule number to control ids. A
// standard that Parry does not know is taken to number its rules by control.
func standardControls(standard, version, rule string) []string {
	if ids := renumbered(standard, version, rule); ids != nil {
		return ids
	}
	id := strings.TrimPrefix(strings.TrimPrefix(rule, "CT."), "PCI.")
	if strings.EqualFold(id, "ELBv2.1") {
		id = "ELB.1"
	}
	if !controlLike(id) {
		return nil
	}
	return []string{id}
}

// controlLike reports whether s has the form of a control id: a service's
// name, a dot and a number.
func controlLike(s string) bool {
	service, number, ok := strings.Cut(s, ".")
	if !ok || service == "" || number == "" || len(s) > 64 {
		return false
	}
	letter := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
	digit := func(r rune) bool { return r >= '0' && r <= '9' }
	if !letter(rune(service[0])) {
		return false
	}
	return strings.IndexFunc(service, func(r rune) bool { return !letter(r) && !digit(r) }) < 0 &&
		strings.IndexFunc(number, func(r rune) bool { return !digit(r) }) < 0
}
