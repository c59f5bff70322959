package awsapi

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
)

// makers are the verbs of operations after which there is something that was not
// there before, under a name that the call gives it.
var makers = []string{"Create", "Copy", "Restore", "Register", "Import"}

// makes remembers what a planned change will make, by its ARNs.
func (p *Planner) makes(r request) {
	if !slices.ContainsFunc(makers, func(verb string) bool { return strings.HasPrefix(r.Operation, verb) }) {
		return
	}
	p.making = append(p.making, p.namesOf(r)...)
}

// namesOf gives the ARNs of what a call is about, as far as they say anything.
func (p *Planner) namesOf(r request) []string {
	arns, err := p.s.g.resourcesOf(r)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(arns, func(arn string) bool {
		return strings.Trim(arnPart(arn, 5), "*/:") == "" || strings.Contains(lastName(arn), "*") || placeholder.MatchString(arn)
	})
}

func lastName(arn string) string { return arn[strings.LastIndexAny(arn, "/:")+1:] }

// isToCome reports whether err says that something is not there which an earlier
// call of this plan makes. What it will be like then only applying will tell.
func (p *Planner) isToCome(r request, err error) bool {
	var api *apimodel.APIError
	if len(p.making) == 0 || !errors.As(err, &api) || api.HTTPStatus != http.StatusNotFound && !isAbsent(err) {
		return false
	}
	return slices.ContainsFunc(p.namesOf(r), func(arn string) bool {
		return slices.ContainsFunc(p.making, func(made string) bool { return overlap(made, arn) })
	})
}
