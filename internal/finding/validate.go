package finding

import (
	"maps"
	"strings"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/fault"
)

// ImportError is why one finding of a batch was refused, in the form of
// BatchImportFindings' FailedFindings.
type ImportError struct {
	Id           string `json:"Id"` //nolint:revive // AWS spells it so.
	ErrorCode    string `json:"ErrorCode"`
	ErrorMessage string `json:"ErrorMessage"`
}

// The error codes of a refused finding.
const (
	CodeInvalidInput  = "InvalidInput"
	CodeInvalidAccess = "InvalidAccess"
)

func (e *ImportError) Error() string { return e.ErrorCode + ": " + e.ErrorMessage }

// NotASFF begins the message of every finding that is no ASFF, as AWS's does.
const NotASFF = "Finding does not adhere to Amazon Finding Format. "

// Refuse makes the refusal of the finding id, its text cut to what AWS's
// clients accept as an identifier.
func Refuse(id, code, message string) *ImportError {
	if utf8.RuneCountInString(id) > 512 {
		id = string([]rune(id)[:512])
	}
	return &ImportError{Id: id, ErrorCode: code, ErrorMessage: message}
}

// Validate checks f against ASFF and its limits. The error's text is the one
// that Security Hub would give; its code is invalid.
func (f Finding) Validate() error {
	if asff().fits(f.doc) && f.consistent(&problems{most: 1}) {
		return nil
	}
	p := problems{most: maxProblems, sorted: true, root: "data"}
	asff().check(f.doc, &p)
	f.consistent(&p)
	return fault.Errorf(fault.Invalid, "", "%s%s.", NotASFF, strings.Join(p.list, ", "))
}

// consistent adds what is wrong with f and cannot be said of one member alone;
// it tells whether nothing is.
func (f Finding) consistent(p *problems) bool {
	if !rated(f.doc["Severity"]) && !rated(f.at([]string{"FindingProviderFields", "Severity"})) {
		if f.doc["Severity"] == nil {
			p.add("should have required property 'Severity'")
		}
		p.add("should have required property 'FindingProviderFields'")
		p.add("should match some schema in anyOf")
	}
	// A zero byte can be kept by no database column, so an identity may not have one.
	if strings.ContainsRune(f.String("Id"), 0) {
		p.enter(step{name: "Id"})
		p.add(`should match pattern "^[^\x00]*$"`)
		p.leave()
	}
	if arn := f.String("ProductArn"); len(arn) >= 12 {
		if _, ok := ParseProductARN(arn); !ok || strings.ContainsRune(arn, 0) {
			p.enter(step{name: "ProductArn"})
			p.add(`should match pattern "arn:PARTITION:securityhub:REGION:ACCOUNT:product/COMPANY/PRODUCT"`)
			p.leave()
		}
	}
	return len(p.list) == 0
}

// Mend gives f without those parts of it that are no ASFF and that it can do
// without: what it says of an attack and of its resources beyond their identity.
// It tells of them, "" where there was nothing to mend. It is for findings that
// AWS or Parry wrote: losing one for a detail would help nobody.
func (f Finding) Mend() (Finding, string) {
	if asff().fits(f.doc) {
		return f, ""
	}
	p := problems{most: maxProblems, sorted: true, root: "data"}
	g := f.clone()
	for _, name := range strings.Fields(dispensable) {
		if v := g.doc[name]; v != nil {
			member := asff().members[name]
			p.check(member, name, v)
			g.put(name, member.mend(v))
		}
	}
	list, _ := f.doc["Resources"].([]any)
	resources := make([]any, len(list))
	for i, e := range list {
		resources[i] = e
		resource, ok := e.(map[string]any)
		if !ok {
			continue
		}
		kept := maps.Clone(resource)
		p.path = append(p.path[:0], step{name: "Resources"}, step{index: i})
		for _, name := range []string{"DataClassification", "Details", "Tags"} {
			member := asff().members["Resources"].item.members[name]
			p.check(member, name, resource[name])
			if kept[name] = member.mend(resource[name]); kept[name] == nil {
				delete(kept, name)
			}
		}
		resources[i] = kept
	}
	if list != nil {
		g.doc["Resources"] = resources
	}
	return g, strings.Join(p.list, ", ")
}

// dispensable are the top-level members that a finding can do without.
const dispensable = "Action Detection GeneratorDetails Malware Network NetworkPath PatchSummary Process Remediation Threats ThreatIntelIndicators Vulnerabilities"

// rated reports whether a severity says how severe: by label or by number.
func rated(v any) bool {
	sev, ok := v.(map[string]any)
	return ok && (sev["Label"] != nil || sev["Normalized"] != nil)
}
