package finding

import (
	"encoding/json"
	"strings"
	"time"
)

// String gives the string at path, "" where there is none or it is no string.
// A path does not enter arrays; Values does.
func (f Finding) String(path ...string) string {
	s, _ := f.at(path).(string)
	return s
}

// Int gives the integer at path.
func (f Finding) Int(path ...string) (int, bool) { return asInt(f.at(path)) }

// Has reports whether there is anything at path.
func (f Finding) Has(path ...string) bool { return f.at(path) != nil }

func (f Finding) at(path []string) any {
	var v any = f.doc
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

// Values calls yield for every scalar (string, json.Number, bool) at path,
// going into each element of every array on the way, until yield gives false.
func (f Finding) Values(path []string, yield func(v any) bool) {
	walk(any(f.doc), path, yield)
}

func walk(v any, path []string, yield func(any) bool) bool {
	switch v := v.(type) {
	case nil:
		return true
	case []any:
		for _, e := range v {
			if !walk(e, path, yield) {
				return false
			}
		}
		return true
	case map[string]any:
		if len(path) == 0 {
			return true
		}
		return walk(v[path[0]], path[1:], yield)
	default:
		return len(path) > 0 || yield(v)
	}
}

// Pairs calls yield for every key and string value of the maps at path.
func (f Finding) Pairs(path []string, yield func(key, value string) bool) {
	pairs(any(f.doc), path, yield)
}

func pairs(v any, path []string, yield func(key, value string) bool) bool {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if !pairs(e, path, yield) {
				return false
			}
		}
	case map[string]any:
		if len(path) > 0 {
			return pairs(v[path[0]], path[1:], yield)
		}
		for k, e := range v {
			if s, ok := e.(string); ok && !yield(k, s) {
				return false
			}
		}
	}
	return true
}

// ID gives the finding's identity.
func (f Finding) ID() ID { return ID{ProductArn: f.String("ProductArn"), Id: f.String("Id")} }

// Account gives AwsAccountId: the account that the finding says it is about.
func (f Finding) Account() string { return f.String("AwsAccountId") }

// Region gives the finding's region, from the product ARN where the finding
// does not name it.
func (f Finding) Region() string {
	if r := f.String("Region"); r != "" {
		return r
	}
	p, _ := ParseProductARN(f.String("ProductArn"))
	return p.Region
}

// Title gives the title: untrusted text.
func (f Finding) Title() string { return f.String("Title") }

// SeverityLabel gives the label at the top level.
func (f Finding) SeverityLabel() Label { return Label(f.String("Severity", "Label")) }

// SeverityNormalized gives the number at the top level, else the label's.
func (f Finding) SeverityNormalized() int {
	if n, ok := f.Int("Severity", "Normalized"); ok {
		return n
	}
	return f.SeverityLabel().Normalized()
}

// Workflow gives Workflow.Status, New where the finding names none.
func (f Finding) Workflow() Workflow {
	if s := Workflow(f.String("Workflow", "Status")); s != "" {
		return s
	}
	return New
}

// Record gives RecordState, Active where the finding names none.
func (f Finding) Record() RecordState {
	if s := RecordState(f.String("RecordState")); s != "" {
		return s
	}
	return Active
}

// Compliance gives Compliance.Status, "" for a finding that is no check.
func (f Finding) Compliance() Compliance { return Compliance(f.String("Compliance", "Status")) }

// Time gives the instant of a top-level timestamp, zero where there is none.
func (f Finding) Time(name string) time.Time {
	t, err := ParseTime(f.String(name))
	if err != nil {
		return time.Time{}
	}
	return t
}

// UpdatedAt gives the provider's time of this version of the finding.
func (f Finding) UpdatedAt() time.Time { return f.Time("UpdatedAt") }

// CreatedAt gives the provider's time of the first version.
func (f Finding) CreatedAt() time.Time { return f.Time("CreatedAt") }

// Resource is what a finding is about. All of it is the provider's claim.
type Resource struct {
	Type      string
	ID        string
	Partition string
	Region    string
	Tags      map[string]string
	Details   json.RawMessage
}

// FirstResource gives id and type of the first resource, "" where there is none.
func (f Finding) FirstResource() (id, kind string) {
	list, _ := f.doc["Resources"].([]any)
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			return member(m, "Id"), member(m, "Type")
		}
	}
	return "", ""
}

// Resources lists the resources in the order of the document.
func (f Finding) Resources() []Resource {
	list, _ := f.doc["Resources"].([]any)
	out := make([]Resource, 0, len(list))
	for _, e := range list {
		m, ok := e.(map[string]any)
		if !ok {
			continue
		}
		r := Resource{
			Type: member(m, "Type"), ID: member(m, "Id"),
			Partition: member(m, "Partition"), Region: member(m, "Region"),
		}
		pairs(m["Tags"], nil, func(k, v string) bool {
			if r.Tags == nil {
				r.Tags = map[string]string{}
			}
			r.Tags[k] = v
			return true
		})
		if d := m["Details"]; d != nil {
			r.Details = encode(d)
		}
		out = append(out, r)
	}
	return out
}

// ProductARN is the parsed form of a ProductArn.
type ProductARN struct {
	Partition string
	Region    string
	// Account is empty for the products of AWS and of public partners.
	Account string
	Company string // for a private product: the account id
	Product string
}

// Private reports whether the product is a custom integration of one account.
func (p ProductARN) Private() bool { return p.Account != "" && p.Company == p.Account }

// Name gives "company/product", by which the same product is known in all regions.
func (p ProductARN) Name() string { return p.Company + "/" + p.Product }

// String gives the ARN.
func (p ProductARN) String() string {
	return "arn:" + p.Partition + ":securityhub:" + p.Region + ":" + p.Account + ":product/" + p.Name()
}

// ParseProductARN reads arn:PARTITION:securityhub:REGION:ACCOUNT:product/COMPANY/PRODUCT.
func ParseProductARN(s string) (ProductARN, bool) {
	part := strings.SplitN(s, ":", 6)
	if len(part) != 6 || part[0] != "arn" || part[1] == "" || part[2] != "securityhub" {
		return ProductARN{}, false
	}
	tail := strings.Split(part[5], "/")
	if len(tail) != 3 || tail[0] != "product" || tail[1] == "" || tail[2] == "" {
		return ProductARN{}, false
	}
	if part[4] != "" && !isAccount(part[4]) {
		return ProductARN{}, false
	}
	return ProductARN{Partition: part[1], Region: part[3], Account: part[4], Company: tail[1], Product: tail[2]}, true
}

// isAccount reports whether s is twelve digits.
func isAccount(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
