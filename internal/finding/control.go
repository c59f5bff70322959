package finding

import (
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/control"
)

// Controls gives the security control ids that f is about, most likely first.
// It is empty for a finding that is no control's. A rule of an old benchmark
// may stand for more than one control.
//
// The order of trust: the control id that the finding names, the consolidated
// generator id, the table of standards, then the product's own fields. The case
// is the finding's own, since filters mind it: compare with SameControl.
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
func SameControl(a, b string) bool { return control.Same(a, b) }

// Is reports whether f is about the control with id.
func (f Finding) Is(id string) bool {
	for _, own := range f.Controls() {
		if SameControl(own, id) {
			return true
		}
	}
	return false
}

// generatorControls reads a generator id of any standard.
func generatorControls(generator string) []string {
	name, rule := generatorRule(generator)
	switch {
	case name == consolidated && controlLike(rule):
		return []string{rule}
	case name == consolidated || name == "":
		return nil
	}
	if ids := control.OfRule(name, rule); ids != nil {
		return ids
	}
	// A standard that Parry does not know is taken to number its rules by control.
	id := strings.TrimPrefix(strings.TrimPrefix(rule, "CT."), "PCI.")
	if strings.EqualFold(id, "ELBv2.1") {
		id = "ELB.1"
	}
	if !controlLike(id) {
		return nil
	}
	return []string{id}
}

// consolidated stands for the name of a standard in a finding that is for all.
const consolidated = "security-control"

// generatorRule takes a generator id apart, in the full ARN form (with and
// without a region) and in the short form: into the standard's name and version,
// and its rule. The name is consolidated for a finding that is of no standard,
// and "" when the generator is no control.
func generatorRule(generator string) (name, rule string) {
	if strings.HasPrefix(generator, "arn:") {
		parts := strings.SplitN(generator, ":", 6)
		if len(parts) != 6 || parts[2] != "securityhub" {
			return "", ""
		}
		_, generator, _ = strings.Cut(parts[5], "/")
	}
	if id, ok := strings.CutPrefix(generator, consolidated+"/"); ok {
		return consolidated, id
	}
	standard, rest, ok := strings.Cut(generator, "/v/")
	if !ok {
		return "", ""
	}
	version, rule, ok := strings.Cut(rest, "/")
	if !ok {
		return "", ""
	}
	return standard + "/v/" + version, strings.TrimPrefix(rule, "rule/")
}

// Evidence gives what f says about controls; nothing for a finding that no
// control of Security Hub made, for one without a compliance status, and for an
// archived one.
func (f Finding) Evidence() control.Evidence {
	if f.Record() == Archived || !strings.HasSuffix(f.String("ProductArn"), ":product/aws/securityhub") {
		return control.Evidence{}
	}
	e := control.Evidence{State: string(f.Compliance()), Controls: f.Controls()}
	// What the finding calls its control is its own text: only what has the form of
	// an id is counted.
	e.Controls = slices.DeleteFunc(e.Controls, func(id string) bool { return !controlLike(id) })
	for i, id := range e.Controls {
		e.Controls[i] = control.Canonical(id)
	}
	if len(e.Controls) == 0 || !control.IsCompliance(e.State) {
		return control.Evidence{}
	}
	if f.Workflow() == Suppressed {
		e.State = control.Suppressed
	}
	e.Standards = f.standards()
	return e
}

// standards gives the keys of the standards that f is evidence for; nil when it
// names none.
func (f Finding) standards() []string {
	if name, _ := generatorRule(f.String("GeneratorId")); name != consolidated {
		if s, ok := control.StandardByName(name); ok {
			return []string{s.Key}
		}
	}
	var keys []string
	f.Values([]string{"Compliance", "AssociatedStandards", "StandardsId"}, func(v any) bool {
		id, _ := v.(string)
		if s, ok := control.StandardByARN(id); ok {
			keys = append(keys, s.Key)
		}
		return true
	})
	slices.Sort(keys)
	return slices.Compact(keys)
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
