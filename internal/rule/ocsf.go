package rule

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/finding/ocsf"
)

// The limits of OcsfFindingFilters.
const (
	maxComposites  = 10
	maxCompositeOf = 20 // filters of one type in one composite
	operatorAnd    = "AND"
	operatorOr     = "OR"
)

// composite is a composite filter over OCSF fields: criteria and further composites,
// joined by an operator.
type composite struct {
	// operator is AND or OR. Empty is AND, where tests of one field are taken as
	// those of one ASFF field: positive ones are alternatives.
	operator string
	criteria []filter.Criterion
	nested   []composite
}

// viewOf gives a finding as composite filters see it: in OCSF, with the methods of a
// finding, since a field's name is its path.
func viewOf(f finding.Finding) finding.Finding {
	return finding.Wrap(ocsf.View(f))
}

// match reports whether the filter holds for view at time now.
func (c composite) match(view finding.Finding, now time.Time) bool {
	either := c.operator == operatorOr
	for _, one := range c.criteria {
		if one.Match(view, now) == either {
			return either
		}
	}
	for _, n := range c.nested {
		if n.match(view, now) == either {
			return either
		}
	}
	return !either
}

// explain tests every criterion, of whatever depth.
func (c composite) explain(view finding.Finding, now time.Time) []filter.Reason {
	out := filter.Filter{Criteria: c.criteria}.Explain(view, now)
	for _, n := range c.nested {
		out = append(out, n.explain(view, now)...)
	}
	return out
}

// decisive gives the criteria of which each must hold.
func (c composite) decisive() []filter.Criterion {
	if c.operator == operatorOr && len(c.criteria)+len(c.nested) > 1 {
		return nil
	}
	out := slices.Clone(c.criteria)
	for _, n := range c.nested {
		out = append(out, n.decisive()...)
	}
	return out
}

// compositeDocument is a CompositeFilter.
type compositeDocument struct {
	StringFilters          []leafDocument      `json:"StringFilters"`
	DateFilters            []leafDocument      `json:"DateFilters"`
	BooleanFilters         []leafDocument      `json:"BooleanFilters"`
	NumberFilters          []leafDocument      `json:"NumberFilters"`
	MapFilters             []leafDocument      `json:"MapFilters"`
	IpFilters              []leafDocument      `json:"IpFilters"` //nolint:revive // AWS's spelling
	NestedCompositeFilters []compositeDocument `json:"NestedCompositeFilters"`
	Operator               string              `json:"Operator"`
}

type leafDocument struct {
	FieldName string          `json:"FieldName"`
	Filter    json.RawMessage `json:"Filter"`
}

// parseComposite reads OcsfFindingFilters.
func parseComposite(raw []byte, path string) (composite, error) {
	var d struct {
		CompositeFilters  []compositeDocument `json:"CompositeFilters"`
		CompositeOperator string              `json:"CompositeOperator"`
	}
	if len(raw) > filter.MaxBytes {
		return composite{}, refuse(path, "%d bytes are more than the limit of %d", len(raw), filter.MaxBytes)
	}
	if err := strict(raw, &d); err != nil {
		return composite{}, refuse(path, "%w", err)
	}
	switch n := len(d.CompositeFilters); {
	case n == 0:
		return composite{}, refuse(path+".CompositeFilters", "at least one composite filter is needed")
	case n > maxComposites:
		return composite{}, refuse(path+".CompositeFilters", "%d composite filters are more than the limit of %d", n, maxComposites)
	}
	out := composite{operator: d.CompositeOperator}
	if err := checkOperator(d.CompositeOperator, path+".CompositeOperator"); err != nil {
		return out, err
	}
	for i, c := range d.CompositeFilters {
		one, err := c.read(fmt.Sprintf("%s.CompositeFilters[%d]", path, i), true)
		if err != nil {
			return out, err
		}
		out.nested = append(out.nested, one)
	}
	return out, nil
}

func checkOperator(operator, path string) error {
	if operator != "" && operator != operatorAnd && operator != operatorOr {
		return refuse(path, "should be AND or OR")
	}
	return nil
}

// read makes a composite; AWS has three layers, so only the second may nest.
func (d compositeDocument) read(path string, nests bool) (composite, error) {
	out := composite{operator: d.Operator}
	if err := checkOperator(d.Operator, path+".Operator"); err != nil {
		return out, err
	}
	for _, list := range []struct {
		name   string
		kind   filter.Kind
		leaves []leafDocument
	}{
		{"StringFilters", filter.String, d.StringFilters},
		{"DateFilters", filter.Date, d.DateFilters},
		{"BooleanFilters", filter.Boolean, d.BooleanFilters},
		{"NumberFilters", filter.Number, d.NumberFilters},
		{"MapFilters", filter.Map, d.MapFilters},
		{"IpFilters", filter.IP, d.IpFilters},
	} {
		criteria, err := readLeaves(list.leaves, list.kind, path+"."+list.name, d.Operator == "")
		if err != nil {
			return out, err
		}
		out.criteria = append(out.criteria, criteria...)
	}
	switch {
	case len(d.NestedCompositeFilters) > 0 && !nests:
		return out, refuse(path+".NestedCompositeFilters", "composite filters have three layers at most")
	case len(d.NestedCompositeFilters) > maxComposites:
		return out, refuse(path+".NestedCompositeFilters", "%d composite filters are more than the limit of %d", len(d.NestedCompositeFilters), maxComposites)
	}
	for i, n := range d.NestedCompositeFilters {
		one, err := n.read(fmt.Sprintf("%s.NestedCompositeFilters[%d]", path, i), false)
		if err != nil {
			return out, err
		}
		out.nested = append(out.nested, one)
	}
	if len(out.criteria)+len(out.nested) == 0 {
		return out, refuse(path, "at least one filter is needed") // an empty one would hold for everything
	}
	return out, nil
}

// readLeaves reads the filters of one type. Together makes one criterion of the tests
// of a field.
func readLeaves(list []leafDocument, kind filter.Kind, path string, together bool) ([]filter.Criterion, error) {
	if len(list) > maxCompositeOf {
		return nil, refuse(path, "%d filters are more than the limit of %d", len(list), maxCompositeOf)
	}
	var out []filter.Criterion
	for i, l := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !slices.Contains(ocsfFields(kind), l.FieldName) {
			return nil, refuse(at+".FieldName", "there is no such field of this type: %q", clipped(l.FieldName))
		}
		if together && slices.ContainsFunc(out, func(c filter.Criterion) bool { return c.Field.Name == l.FieldName }) {
			continue // it was read with the first of its field
		}
		tests := []json.RawMessage{l.Filter}
		for _, other := range list[i+1:] {
			if together && other.FieldName == l.FieldName {
				tests = append(tests, other.Filter)
			}
		}
		field := filter.Field{Name: l.FieldName, Kind: kind, Named: true, Paths: [][]string{strings.Split(l.FieldName, ".")}}
		c, err := filter.ParseTests(field, tests, at+".Filter")
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func clipped(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// ocsfFields lists the fields of a type: the enumerations of Security Hub's model.
func ocsfFields(kind filter.Kind) []string { return ocsfTable[kind] }

// ocsfTable is built once and never written.
var ocsfTable = map[filter.Kind][]string{
	filter.String: strings.Fields(`
metadata.uid activity_name cloud.account.uid cloud.provider cloud.region compliance.assessments.category compliance.assessments.name
compliance.control compliance.status compliance.standards finding_info.desc finding_info.src_url finding_info.title finding_info.types
finding_info.uid finding_info.related_events.traits.category finding_info.related_events.uid finding_info.related_events.product.uid
finding_info.related_events.title metadata.product.name metadata.product.uid metadata.product.vendor_name remediation.desc remediation.references
resources.cloud_partition resources.region resources.type resources.uid severity status comment vulnerabilities.fix_coverage class_name
databucket.encryption_details.algorithm databucket.encryption_details.key_uid databucket.file.data_classifications.classifier_details.type
evidences.actor.user.account.uid evidences.api.operation evidences.api.response.error_message evidences.api.service.name
evidences.connection_info.direction evidences.connection_info.protocol_name evidences.dst_endpoint.autonomous_system.name
evidences.dst_endpoint.location.city evidences.dst_endpoint.location.country evidences.src_endpoint.autonomous_system.name
evidences.src_endpoint.hostname evidences.src_endpoint.location.city evidences.src_endpoint.location.country finding_info.analytic.name malware.name
malware_scan_info.uid malware.severity resources.cloud_function.layers.uid_alt resources.cloud_function.runtime resources.cloud_function.user.uid
resources.device.encryption_details.key_uid resources.device.image.uid resources.image.architecture resources.image.registry_uid
resources.image.repository_name resources.image.uid resources.subnet_info.uid resources.vpc_uid vulnerabilities.affected_code.file.path
vulnerabilities.affected_packages.name vulnerabilities.cve.epss.score vulnerabilities.cve.uid vulnerabilities.related_vulnerabilities
cloud.account.name vendor_attributes.severity
`),
	filter.Date: strings.Fields(`
finding_info.created_time_dt finding_info.first_seen_time_dt finding_info.last_seen_time_dt finding_info.modified_time_dt
resources.image.created_time_dt resources.image.last_used_time_dt resources.modified_time_dt
`),
	filter.Boolean: strings.Fields(`
compliance.assessments.meets_criteria vulnerabilities.is_exploit_available vulnerabilities.is_fix_available
`),
	filter.Number: strings.Fields(`
activity_id compliance.status_id confidence_score severity_id status_id finding_info.related_events_count evidences.api.response.code
evidences.dst_endpoint.autonomous_system.number evidences.dst_endpoint.port evidences.src_endpoint.autonomous_system.number
evidences.src_endpoint.port resources.image.in_use_count vulnerabilities.cve.cvss.base_score vendor_attributes.severity_id
`),
	filter.Map: strings.Fields(`
resources.tags compliance.control_parameters databucket.tags finding_info.tags
`),
	filter.IP: strings.Fields(`
evidences.dst_endpoint.ip evidences.src_endpoint.ip
`),
}
