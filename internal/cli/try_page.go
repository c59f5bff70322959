package cli

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

//go:embed page/try.html
var tryTemplate string

//go:embed page/try.css
var tryStyle string

// tryPageData is what the template shows. Everything in it that is of others stays text:
// the template escapes it for where it stands.
type tryPageData struct {
	app.TrialReport
	Style     template.CSS
	StyleHash string
	Accounts  string
	Origin    []string
	Known     string
	Changes   int
	Unplanned []reasonGroup
	SentSum   string
	Next      []nextStep
}

// tryPage makes the report one page: no script, nothing from outside, and a policy in it
// that lets a browser load nothing else.
func tryPage(r app.TrialReport) ([]byte, error) {
	const op = "write the report"
	page, err := template.New("try").Funcs(template.FuncMap{
		"arn": shortARN, "short": short, "absent": wholeValue, "brief": orAbsent, "lines": changeLines, "sign": signClass, "alike": alikeLines, "undo": undoOf, "on": resourceOf, "role": planRole, "place": place, "counted": countOf,
		"mark": markOf, "named": named, "parts": func(path string) []string { return strings.Split(path, ".") }, "isChange": func(c remediation.PlannedCall) bool { return c.Class != apimodel.Read }, "request": requestOf,
		"verdict":  func(p remediation.Plan) string { return verdict(p, remediation.Planned) },
		"document": policyText, "lower": strings.ToLower, "trim": strings.TrimSpace, "day": func(t time.Time) string { return t.UTC().Format(time.DateOnly) },
		"clock": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
	}).Parse(tryTemplate)
	if err != nil {
		return nil, fault.E(fault.Internal, op, err)
	}
	sum := sha256.Sum256([]byte(tryStyle))
	data := tryPageData{
		TrialReport: r, Style: template.CSS(tryStyle), StyleHash: base64.StdEncoding.EncodeToString(sum[:]), //nolint:gosec // our own style sheet
		Accounts: accountsOf(r), Origin: append(sourceLines(r), r.Notes...), Known: known(r), Unplanned: unplannedOf(r), SentSum: sentSum(r), Next: tryNext(r),
	}
	for _, p := range r.Plans {
		data.Changes += p.Plan.Changes()
	}
	var out bytes.Buffer
	if err := page.Execute(&out, data); err != nil {
		return nil, fault.E(fault.Internal, op, err)
	}
	// What turns the direction of text, or is no character, is nothing that HTML escapes.
	return []byte(printable(out.String())), nil
}

// markOf says how a member changes, as a class and a sign.
func markOf(d remediation.MemberChange) [2]string {
	switch {
	case d.Before == "":
		return [2]string{"added", "+"}
	case d.After == "":
		return [2]string{"removed", "−"}
	}
	return [2]string{"changed", "~"}
}

// signClass is the class of a line of a value.
func signClass(sign string) string {
	switch sign {
	case "-":
		return "removed"
	case "+":
		return "added"
	}
	return "same"
}

// requestOf is what a change sends whose effect no diff tells.
func requestOf(c remediation.PlannedCall) string {
	if !c.EffectUnknown {
		return ""
	}
	return lineJSON(c.Input)
}

// policyText is a policy as a document.
func policyText(p apimodel.Policy) (string, error) {
	var b bytes.Buffer
	if err := printJSON(&b, p); err != nil {
		return "", fmt.Errorf("write a policy: %w", err)
	}
	return strings.TrimSpace(b.String()), nil
}
