package asff

import (
	"encoding/json"
	"strings"

	"github.com/parry-security/parry/internal/finding"
)

// LeftOut is the product field that names what was mended in a finding.
const LeftOut = "parry/left-out"

// maxField is how many characters a product field may have.
const maxField = 2048

// Normalizer turns raw ASFF into findings. The zero value is ready to use.
type Normalizer struct {
	// Mend leaves out what a finding can do without and AWS's own model does not
	// allow, and says so in the product field LeftOut. It is for what AWS's services
	// send and Parry translated: no sender is there who could put it right.
	Mend bool
}

// Normalize reads, validates and completes one finding.
func (n Normalizer) Normalize(raw json.RawMessage) (finding.Finding, *finding.ImportError) {
	if len(raw) > finding.MaxBytes {
		return finding.Finding{}, finding.Refuse(peekID(raw), finding.CodeInvalidInput,
			"Finding is larger than the limit of 240 KB. Drop Resources[].Details, or split the finding by resource.")
	}
	f, err := finding.Parse(raw)
	if err != nil {
		return finding.Finding{}, finding.Refuse("", finding.CodeInvalidInput, finding.NotASFF+"data "+sentence(err))
	}
	left := ""
	if n.Mend {
		f, left = f.Mend()
	}
	if err := f.Validate(); err != nil {
		return finding.Finding{}, finding.Refuse(f.String("Id"), finding.CodeInvalidInput, err.Error())
	}
	if r := []rune(left); len(r) > maxField {
		left = string(r[:maxField])
	}
	return fill(f.Bare()).WithProductFields(map[string]string{LeftOut: left}), nil
}

// sentence words a parse error after "data".
func sentence(err error) string {
	s := strings.TrimPrefix(err.Error(), "parse finding: ")
	if s == "not a JSON object" {
		return "should be object."
	}
	return "should be JSON: " + s + "."
}

// peekID finds the identifier of a finding that is too large to be read, so
// that its sender can tell which one it was.
func peekID(raw json.RawMessage) string {
	const far = 1 << 20
	if len(raw) > far {
		return ""
	}
	var d struct {
		ID string `json:"Id"`
	}
	if json.Unmarshal(raw, &d) != nil {
		return ""
	}
	return d.ID
}

// fill adds what Security Hub adds to a finding that it takes in.
func fill(f finding.Finding) finding.Finding {
	arn, _ := finding.ParseProductARN(f.String("ProductArn"))
	company, product := Names(arn)
	for _, m := range []struct{ name, value string }{
		{"Region", arn.Region}, {"CompanyName", company}, {"ProductName", product},
	} {
		if m.value != "" && !f.Has(m.name) {
			f = f.With(m.name, m.value)
		}
	}
	return f.WithProductFields(map[string]string{
		"aws/securityhub/FindingId":   f.ID().String(),
		"aws/securityhub/ProductName": f.String("ProductName"),
		"aws/securityhub/CompanyName": f.String("CompanyName"),
	})
}

// Names gives the company and product names that Security Hub shows for a
// product; for one that Parry does not know, the words of the ARN.
func Names(arn finding.ProductARN) (company, product string) {
	if arn.Private() && arn.Product == "default" {
		return "Personal", "Default"
	}
	if arn.Company != "aws" {
		return arn.Company, arn.Product
	}
	switch arn.Product {
	case "securityhub":
		product = "Security Hub"
	case "guardduty":
		product = "GuardDuty"
	case "inspector":
		product = "Inspector"
	case "macie":
		product = "Macie"
	case "config":
		product = "Config"
	case "access-analyzer":
		product = "IAM Access Analyzer"
	case "health":
		product = "Health"
	default:
		product = arn.Product
	}
	return "AWS", product
}
