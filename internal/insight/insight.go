package insight

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// The limits; those of actions and of custom insights are AWS's.
const (
	MaxInsights    = 100 // custom ones of a Region
	MaxActions     = 50  // of a Region
	MaxResults     = 100 // values of an insight
	MaxFindings    = 20  // of one invocation
	maxName        = 256 // characters
	maxActionText  = 20  // characters of an action's name and of its id
	maxDescription = 512
)

// Insight is a saved question about findings.
type Insight struct {
	ARN  string
	Name string
	// Filters select the findings; GroupBy is the attribute by which they are counted.
	Filters filter.Filter
	GroupBy string
	// Managed ones are AWS's or Parry's: they cannot be changed.
	Managed bool
	// Derived says of a managed one what AWS does not say, and from what it follows.
	Derived   string
	CreatedBy string
	CreatedAt time.Time
	UpdatedAt time.Time

	// of Parry's own only
	column  string // group by this column of findings
	overdue bool   // only findings whose deadline has passed
	region  string
	rev     int64
}

// Own reports whether i is one of Parry's own, which AWS does not know.
func (i Insight) Own() bool { return strings.Contains(i.ARN, ":insight/parry/") }

// Overdue reports whether only findings are counted whose deadline has passed.
func (i Insight) Overdue() bool { return i.overdue }

// Key is the last part of the ARN.
func (i Insight) Key() string { return i.ARN[strings.LastIndexByte(i.ARN, '/')+1:] }

// Attributes lists what insights may group by: the attributes of the filters that hold
// text. AWS does not publish which it takes.
func Attributes() []string {
	var out []string
	for name, f := range filter.Fields() {
		if f.Kind == filter.String {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// check holds an insight to what AWS asks of one.
func (i Insight) check() error {
	const op = "read insight"
	if err := checkText("Name", i.Name, maxName); err != nil {
		return err
	}
	if len(i.Filters.Criteria) > 10 {
		return fault.Errorf(fault.Invalid, op, "Filters: %d attributes are more than the limit of 10", len(i.Filters.Criteria))
	}
	if f, ok := filter.FieldNamed(i.GroupBy); !ok || f.Kind != filter.String {
		return fault.Errorf(fault.Invalid, op, "GroupByAttribute: findings cannot be grouped by %q", clipped(i.GroupBy)).
			WithHint("group by an attribute of the filters that holds text, such as ResourceId, ResourceType, AwsAccountId, ProductName, SeverityLabel or Type")
	}
	return nil
}

func checkText(member, text string, most int) error {
	const op = "read request"
	switch {
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return fault.Errorf(fault.Invalid, op, "%s: it holds control characters or is not UTF-8", member)
	case strings.TrimSpace(text) == "":
		return fault.Errorf(fault.Invalid, op, "%s: a text that is not blank is needed", member)
	case utf8.RuneCountInString(text) > most:
		return fault.Errorf(fault.Invalid, op, "%s: %d characters are more than the limit of %d", member, utf8.RuneCountInString(text), most)
	}
	return nil
}

func clipped(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}

// record is an insight as it is stored.
type record struct {
	Name      string          `json:"name"`
	Filters   json.RawMessage `json:"filters"`
	GroupBy   string          `json:"group_by"`
	CreatedBy string          `json:"created_by"`
	UpdatedAt time.Time       `json:"updated_at"`
}

func (i Insight) object() (store.HubObject, error) {
	filters, err := json.Marshal(i.Filters)
	if err != nil {
		return store.HubObject{}, fault.E(fault.Internal, "write insight", err)
	}
	doc, err := json.Marshal(record{i.Name, filters, i.GroupBy, i.CreatedBy, i.UpdatedAt})
	if err != nil {
		return store.HubObject{}, fault.E(fault.Internal, "write insight", err)
	}
	return store.HubObject{Kind: store.HubInsight, ARN: i.ARN, Region: i.region, CreatedAt: i.CreatedAt, Rev: i.rev, Doc: doc}, nil
}

func insightOf(o store.HubObject) (Insight, error) {
	var r record
	i := Insight{ARN: o.ARN, CreatedAt: o.CreatedAt, region: o.Region, rev: o.Rev}
	if err := json.Unmarshal(o.Doc, &r); err != nil {
		return i, fault.E(fault.Internal, "read insight "+o.ARN, err)
	}
	i.Name, i.GroupBy, i.CreatedBy, i.UpdatedAt = r.Name, r.GroupBy, r.CreatedBy, r.UpdatedAt
	var err error
	if i.Filters, err = filter.Parse(r.Filters); err != nil {
		return i, fault.E(fault.Internal, "read insight "+o.ARN, err)
	}
	return i, nil
}

// Action is a custom action: findings and results of insights are sent to it by people,
// and rules of the bus match its ARN.
type Action struct {
	ARN         string
	Name        string
	Description string
	CreatedBy   string
	CreatedAt   time.Time
	UpdatedAt   time.Time

	region string
	rev    int64
}

// ID is the last part of the ARN.
func (a Action) ID() string { return a.ARN[strings.LastIndexByte(a.ARN, '/')+1:] }

func (a Action) check() error {
	if err := checkText("Name", a.Name, maxActionText); err != nil {
		return err
	}
	return checkText("Description", a.Description, maxDescription)
}

// checkActionID checks the id of an action: it becomes part of an ARN.
func checkActionID(id string) error {
	if err := checkText("Id", id, maxActionText); err != nil {
		return err
	}
	if strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return fault.Errorf(fault.Invalid, "read request", "Id: %q is not made of letters and digits alone", id)
	}
	return nil
}

type actionRecord struct {
	Name        string    `json:"name"`
	Description string    `json:"description"`
	CreatedBy   string    `json:"created_by"`
	UpdatedAt   time.Time `json:"updated_at"`
}

func (a Action) object() (store.HubObject, error) {
	doc, err := json.Marshal(actionRecord{a.Name, a.Description, a.CreatedBy, a.UpdatedAt})
	if err != nil {
		return store.HubObject{}, fault.E(fault.Internal, "write action", err)
	}
	return store.HubObject{Kind: store.HubAction, ARN: a.ARN, Region: a.region, CreatedAt: a.CreatedAt, Rev: a.rev, Doc: doc}, nil
}

func actionOf(o store.HubObject) (Action, error) {
	var r actionRecord
	if err := json.Unmarshal(o.Doc, &r); err != nil {
		return Action{}, fault.E(fault.Internal, "read action "+o.ARN, err)
	}
	return Action{
		ARN: o.ARN, Name: r.Name, Description: r.Description, CreatedBy: r.CreatedBy, CreatedAt: o.CreatedAt, UpdatedAt: r.UpdatedAt, region: o.Region, rev: o.Rev,
	}, nil
}

// uuid gives the identifier that stands for seed.
func uuid(seed string) string { return service.UUID(sha256.Sum256([]byte(seed))) }
