package filter

import (
	"encoding/json"
	"fmt"
)

// ParseTests reads tests of a field that is not one of Security Hub's ASFF filters,
// such as one of OCSF, with the comparisons that automation rules may use. Path names
// the list in errors.
func ParseTests(field Field, items []json.RawMessage, path string) (Criterion, error) {
	c := Criterion{Field: field}
	r := reader{path: path, rule: true}
	for i, item := range items {
		if err := r.test(&c, item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return Criterion{}, err
		}
	}
	return c, nil
}
