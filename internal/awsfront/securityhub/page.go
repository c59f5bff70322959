package securityhub

import "encoding/json"

// findingsPage is the answer of GetFindings and GetFindingsV2: {"Findings": [...],
// "NextToken": "..."}, the token only when there is a next page.
type findingsPage struct{ Page }

// AppendJSON writes the answer. The documents were valid when they were stored, so they
// are copied: reading 200 KB once more would be a third of what a page costs.
func (p findingsPage) AppendJSON(b []byte) ([]byte, error) {
	b = append(b, `{"Findings":[`...)
	for i, doc := range p.Findings {
		if i > 0 {
			b = append(b, ',')
		}
		if len(doc) == 0 {
			doc = json.RawMessage("null")
		}
		b = append(b, doc...)
	}
	b = append(b, ']')
	if p.Next != "" {
		token, err := json.Marshal(p.Next)
		if err != nil {
			return b, err
		}
		b = append(append(b, `,"NextToken":`...), token...)
	}
	return append(b, '}'), nil
}
