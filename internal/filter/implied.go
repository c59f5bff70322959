package filter

import (
	"time"

	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/finding/ocsf"
)

// Implied gives criteria on ASFF that hold for every finding whose view in OCSF c
// holds for, so that a store of ASFF can leave out what cannot match; none where
// nothing is known. Exact says that they hold for no other finding either.
//
// Invariant: it leans on what ocsf.View makes of a finding's own members. The
// differential test of storetest holds one against the other.
func (c Criterion) Implied(now time.Time) (all []Criterion, exact bool) {
	switch c.Field.Name {
	case "cloud.account.uid":
		return c.as("AwsAccountId"), !c.hasWord()
	case "cloud.region":
		return c.as("Region"), !c.hasWord()
	case "finding_info.created_time_dt":
		return c.as("CreatedAt"), true
	case "finding_info.modified_time_dt":
		return c.as("UpdatedAt"), true
	case "severity", "severity_id":
		return c.choices("SeverityLabel", ocsf.Severities(), now)
	case "status", "status_id":
		return c.choices("WorkflowStatus", ocsf.Statuses(), now)
	case "activity_name", "activity_id":
		return c.choices("RecordState", ocsf.Activities(), now)
	case "compliance.status", "compliance.status_id":
		return c.choices("ComplianceStatus", ocsf.ComplianceStatuses(), now)
	case "metadata.uid":
		return c.keys(), false
	case "metadata.product.uid":
		return c.positive("ProductArn", 2000, false, ocsf.Product), false
	case "finding_info.uid":
		return c.positive("Id", 400, false, nil), false
	case "finding_info.title":
		return c.positive("Title", 200, true, nil), false
	case "metadata.product.name":
		return c.positive("ProductName", 100, false, nil), false
	case "resources.uid":
		return c.positive("ResourceId", 2000, false, nil), false
	case "resources.type":
		return c.positive("ResourceType", 200, true, nil), false
	case "compliance.control":
		return c.positive("ComplianceSecurityControlId", 200, false, nil), false
	}
	return nil, false
}

func (c Criterion) hasWord() bool {
	for _, t := range c.Strings {
		if t.Comparison == ContainsWord || t.Comparison == Contains || t.Comparison == NotContains {
			return true
		}
	}
	return false
}

// as gives c on the field of ASFF that says the same.
func (c Criterion) as(name string) []Criterion {
	if c.hasWord() {
		return nil
	}
	c.Field, _ = FieldNamed(name)
	return []Criterion{c}
}

// positive keeps the alternatives, when each says something about the field of
// ASFF: what excludes cannot be told from a copy that may be cut or completed.
// Most is the length up to which ASFF surely has it whole.
func (c Criterion) positive(name string, most int, prefix bool, translate func(string) string) []Criterion {
	out := Criterion{}
	out.Field, _ = FieldNamed(name)
	for _, t := range c.Strings {
		if t.Comparison.Negative() {
			continue
		}
		v := t.Value
		if translate != nil {
			v = translate(v)
		}
		if v == "" || len(t.Value) > most || t.Comparison != Equals && (t.Comparison != Prefix || !prefix) {
			return nil
		}
		out.Strings = append(out.Strings, StringTest{v, t.Comparison})
	}
	if len(out.Strings) == 0 {
		return nil
	}
	return []Criterion{out}
}

// keys reads the metadata.uid that Parry gives a finding.
func (c Criterion) keys() []Criterion {
	var ids, products Criterion
	ids.Field, _ = FieldNamed("Id")
	products.Field, _ = FieldNamed("ProductArn")
	for _, t := range c.Strings {
		if t.Comparison.Negative() {
			continue
		}
		id, ok := finding.ParseKey(t.Value)
		if !ok {
			id = finding.ID{Id: "-", ProductArn: "-"} // the uid of no finding
		}
		if t.Comparison != Equals {
			return nil
		}
		ids.Strings = append(ids.Strings, StringTest{id.Id, Equals})
		products.Strings = append(products.Strings, StringTest{id.ProductArn, Equals})
	}
	if len(ids.Strings) == 0 {
		return nil
	}
	return []Criterion{ids, products}
}

// choices asks c about every view that a value of ASFF may have.
func (c Criterion) choices(name string, views []ocsf.Choice, now time.Time) ([]Criterion, bool) {
	out := Criterion{}
	out.Field, _ = FieldNamed(name)
	exact := true
	for _, choice := range views {
		some, all := false, true
		for _, view := range choice.Views {
			holds := c.Match(finding.Wrap(view), now)
			some, all = some || holds, all && holds
		}
		exact = exact && some == all
		if some {
			out.Strings = append(out.Strings, StringTest{choice.Value, Equals})
		}
	}
	if len(out.Strings) == 0 {
		// It holds for no finding at all.
		out.Strings = []StringTest{{"-", Equals}}
	}
	return []Criterion{out}, exact
}
