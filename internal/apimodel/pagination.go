package apimodel

import (
	"encoding/json"
	"sort"

	"github.com/parry-security/parry/internal/fault"
)

// Paginator says how the pages of a listing hang together, in botocore's terms.
// Tokens, MoreResults and ResultKeys are JMESPath expressions.
type Paginator struct {
	InputTokens      []string `json:"in"`             // input members that the next page's tokens go into
	OutputTokens     []string `json:"out"`            // where they are in the answer, in the same order
	LimitKey         string   `json:"limit,omitzero"` // input member with the page size, "" = none
	MoreResults      string   `json:"more,omitzero"`  // where the answer says that there are more, "" = by token
	ResultKeys       []string `json:"keys,omitzero"`  // what is collected over all pages; the first counts
	NonAggregateKeys []string `json:"once,omitzero"`  // what is taken from the first page
}

// Waiter asks until a resource is in a state, as botocore does.
type Waiter struct {
	Name        string     `json:"-"` // "BucketExists"
	Operation   string     `json:"op"`
	Delay       int        `json:"delay"` // seconds between two questions
	MaxAttempts int        `json:"max"`
	Acceptors   []Acceptor `json:"acceptors"` // the first that matches decides
}

// Acceptor ends a wait, or not.
type Acceptor struct {
	State    string `json:"state"`         // "success", "failure" or "retry"
	Matcher  string `json:"matcher"`       // "path", "pathAll", "pathAny", "status" or "error"
	Argument string `json:"arg,omitzero"`  // JMESPath expression of the path matchers
	Expected any    `json:"want,omitzero"` // string, bool or float64
}

// callModels are how the operations of a service are repeated.
type callModels struct {
	Paginators map[string]Paginator `json:"paginators,omitzero"`
	Waiters    map[string]Waiter    `json:"waiters,omitzero"`
}

func parseCalls(raw []byte) (m callModels, err error) {
	err = json.Unmarshal(raw, &m)
	return m, err
}

func (s *Service) callModels() (callModels, error) {
	if s.calls == nil {
		return callModels{}, nil
	}
	return s.calls()
}

// Paginator gives how an operation, in any spelling, is read page by page. One
// that has no pages is fault.NotFound.
func (s *Service) Paginator(operation string) (Paginator, error) {
	m, err := s.callModels()
	if err != nil {
		return Paginator{}, err
	}
	if op, ok := s.Operation(operation); ok {
		if p, ok := m.Paginators[op.Name]; ok {
			return p, nil
		}
	}
	return Paginator{}, fault.Errorf(fault.NotFound, "find paginator", "operation %s:%s cannot be paginated", s.Name, operation)
}

// Paginators lists the operations that have pages, in order.
func (s *Service) Paginators() ([]string, error) {
	m, err := s.callModels()
	return sortedKeys(m.Paginators), err
}

// Waiter finds a waiter in any spelling: BucketExists, bucket_exists,
// bucket-exists. An unknown one is fault.NotFound.
func (s *Service) Waiter(name string) (Waiter, error) {
	m, err := s.callModels()
	if err != nil {
		return Waiter{}, err
	}
	want := foldName(name)
	for have, w := range m.Waiters {
		if foldName(have) == want {
			w.Name = have
			return w, nil
		}
	}
	return Waiter{}, fault.Errorf(fault.NotFound, "find waiter", "service %s has no waiter %q", s.Name, name).
		WithHint("%s has the waiters %v", s.Name, sortedKeys(m.Waiters))
}

// Waiters lists the waiters' names in order.
func (s *Service) Waiters() ([]string, error) {
	m, err := s.callModels()
	return sortedKeys(m.Waiters), err
}

func sortedKeys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
