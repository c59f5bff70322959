package finding

import (
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
	var p problems
	asff.check(any(f.doc), "data", &p)
	if !rated(f.doc["Severity"]) && !rated(f.at([]string{"FindingProviderFields", "Severity"})) {
		if f.doc["Severity"] == nil {
			p.add("data", "should have required property 'Severity'")
		}
		p.add("data", "should have required property 'FindingProviderFields'")
		p.add("data", "should match some schema in anyOf")
	}
	// A zero byte can be kept by no database column, so an identity may not have one.
	if strings.ContainsRune(f.String("Id"), 0) {
		p.add("data.Id", `should match pattern "^[^\x00]*$"`)
	}
	if arn := f.String("ProductArn"); len(arn) >= 12 {
		if _, ok := ParseProductARN(arn); !ok || strings.ContainsRune(arn, 0) {
			p.add("data.ProductArn", `should match pattern "arn:PARTITION:securityhub:REGION:ACCOUNT:product/COMPANY/PRODUCT"`)
		}
	}
	if len(p) == 0 {
		return nil
	}
	return fault.Errorf(fault.Invalid, "", "%s%s.", NotASFF, strings.Join(p, ", "))
}

// rated reports whether a severity says how severe: by label or by number.
func rated(v any) bool {
	sev, ok := v.(map[string]any)
	return ok && (sev["Label"] != nil || sev["Normalized"] != nil)
}
