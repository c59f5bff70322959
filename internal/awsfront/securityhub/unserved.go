package securityhub

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsfront/protocol"
)

// elsewhere says where that is decided which AWS decides by an operation. The
// first whose word is part of the operation's name holds.
func elsewhere() [][2]string {
	return [][2]string{
		{"UpdateFindings", "It is retired by AWS too. BatchUpdateFindings is its successor"},
		{"Aggregator", "Parry aggregates the findings of all Regions that its sources bring"},
		{"Configuration", "Central configuration and the settings of the hub are AWS's: make them there. Parry's own are in parry.yaml"},
		{"Member", "The accounts that Parry answers for are those of parry.yaml (organization.accounts, organization.sync)"},
		{"Invitation", "The accounts that Parry answers for are those of parry.yaml (organization.accounts, organization.sync)"},
		{"Administrator", "Parry is the administrator of the accounts that parry.yaml names"},
		{"Master", "Parry is the administrator of the accounts that parry.yaml names"},
		{"AdminAccount", "Parry is the administrator of the accounts that parry.yaml names"},
		{"Control", "Checks run in AWS: enable and set them there. Parry shows what their findings say"},
		{"Standards", "Checks run in AWS: enable their standards there. Parry shows those that it has findings of"},
		{"ForProduct", "What a source may report is decided with its key: parry key create --product, parry key revoke"},
		{"DisableSecurityHub", "The hub is on as long as parry serve runs"},
		{"Connector", "Parry has no connectors: channels and bus_rules of parry.yaml carry findings on"},
		{"Ticket", "Parry has no connectors: channels and bus_rules of parry.yaml carry findings on"},
	}
}

// others answers everything but what is served. AWS's model, which names the rest, is not
// in memory before somebody asks for it.
func (h *Handler) others(served []string) http.Handler {
	rest := sync.OnceValues(func() (http.Handler, error) {
		operations, err := unservedOperations(served)
		if err != nil {
			return nil, err
		}
		mux := http.NewServeMux()
		for pattern, answer := range operations {
			mux.HandleFunc(pattern, h.serve(answer))
		}
		mux.HandleFunc("/", h.serve(h.unserved))
		return mux, nil
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux, err := rest()
		if err != nil {
			h.serve(func(*http.Request) (any, error) { return nil, err })(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// unservedOperations answers what AWS's model of Security Hub has beyond the patterns
// that are served, each by its name.
func unservedOperations(served []string) (map[string]operation, error) {
	catalog, err := apimodel.Load()
	if err != nil {
		return nil, err
	}
	service, err := catalog.Service("securityhub")
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, pattern := range served {
		known[shapeOf(pattern)] = true
	}
	out := map[string]operation{}
	for _, op := range service.Operations {
		pattern := op.Method + " " + label.ReplaceAllString(op.URI, "{label...}")
		if !known[shapeOf(pattern)] {
			out[pattern] = refused(op)
		}
	}
	return out, nil
}

// label is a part of a path that the caller fills in. All of them stand last.
var label = regexp.MustCompile(`\{[^}]*\}`) //nolint:gochecknoglobals // a constant

func shapeOf(pattern string) string { return label.ReplaceAllString(pattern, "{}") }

// refused words why op is not served: with AWS's own error for what the caller may
// not do where something else decides, and as unknown where Parry has no such thing.
func refused(op *apimodel.Operation) operation {
	e := &protocol.Error{
		Status: http.StatusNotImplemented, Code: "UnknownOperationException",
		Message: "Parry does not serve " + op.Name + ". docs/securityhub-api.md lists what it serves of Security Hub's API.",
	}
	for _, rule := range elsewhere() {
		if !strings.Contains(op.Name, rule[0]) {
			continue
		}
		e = &protocol.Error{Status: http.StatusForbidden, Code: "AccessDeniedException", Message: op.Name + " is not for Parry to do. " + rule[1] + "."}
		if slices.ContainsFunc(op.Errors, func(s *apimodel.Shape) bool { return s.Name == "InvalidAccessException" }) {
			e.Status, e.Code = http.StatusUnauthorized, "InvalidAccessException"
		}
		break
	}
	return func(*http.Request) (any, error) { return nil, e }
}

// unserved answers what is no operation at all.
func (h *Handler) unserved(r *http.Request) (any, error) {
	return nil, &protocol.Error{
		Status: http.StatusNotImplemented, Code: "UnknownOperationException",
		Message: "Security Hub has no operation " + r.Method + " on this path. docs/securityhub-api.md lists what Parry serves of its API.",
	}
}
