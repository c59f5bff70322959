package insight

import (
	"encoding/json"
	"io/fs"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/filter"
)

// entry is one insight of catalog/insights.
type entry struct {
	Number  int            `yaml:"number"` // of AWS's
	Key     string         `yaml:"key"`    // of Parry's own
	Name    string         `yaml:"name"`
	Group   string         `yaml:"group"`
	Column  string         `yaml:"column"`  // Parry's own: a column of findings instead of an attribute
	Overdue bool           `yaml:"overdue"` // Parry's own: only findings whose deadline has passed
	Filters map[string]any `yaml:"filters"`
	Derived string         `yaml:"derived"`
}

// LoadManaged reads insights/aws.yaml and insights/parry.yaml of the catalogue.
func LoadManaged(files fs.FS, partition string) ([]Insight, error) {
	var out []Insight
	for _, name := range []string{"aws", "parry"} {
		raw, err := fs.ReadFile(files, "insights/"+name+".yaml")
		if err != nil {
			return nil, fault.E(fault.Internal, "read managed insights", err)
		}
		var file struct {
			Open     any     `yaml:"open"` // an anchor
			Insights []entry `yaml:"insights"`
		}
		if err := yaml.Unmarshal(raw, &file); err != nil {
			return nil, fault.E(fault.Invalid, "read insights/"+name+".yaml", err)
		}
		for _, e := range file.Insights {
			i, err := e.insight(name, partition)
			if err != nil {
				return nil, fault.Errorf(fault.Invalid, "read insights/"+name+".yaml", "%q: %w", e.Name, err)
			}
			out = append(out, i)
		}
	}
	return out, nil
}

func (e entry) insight(by, partition string) (Insight, error) {
	raw, err := json.Marshal(e.Filters)
	if err != nil {
		return Insight{}, err
	}
	if e.Filters == nil {
		raw = []byte("{}")
	}
	i := Insight{Name: e.Name, GroupBy: e.Group, Managed: true, Derived: e.Derived, CreatedBy: by, column: e.Column, overdue: e.Overdue}
	if i.Filters, err = filter.Parse(raw); err != nil {
		return i, err
	}
	if by == "aws" {
		i.ARN = "arn:" + partition + ":securityhub:::insight/securityhub/default/" + strconv.Itoa(e.Number)
	} else {
		i.ARN = "arn:" + partition + ":securityhub:::insight/parry/default/" + e.Key
	}
	return i, i.check()
}
