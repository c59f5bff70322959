package securityhub

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

// Historian reads findings and what changed on them.
type Historian interface {
	Findings(ctx context.Context, ids []finding.ID) ([]store.FindingRecord, error)
	FindingHistoryWithin(ctx context.Context, q store.HistoryQuery) ([]store.HistoryEntry, string, error)
}

// historyPage is GetFindingHistory's answer.
type historyPage struct {
	Records   []historyRecord `json:"Records"`
	NextToken string          `json:"NextToken,omitempty"`
}

type historyRecord struct {
	FindingIdentifier finding.ID       `json:"FindingIdentifier"`
	UpdateTime        string           `json:"UpdateTime"`
	FindingCreated    bool             `json:"FindingCreated"`
	UpdateSource      historySource    `json:"UpdateSource"`
	Updates           []finding.Update `json:"Updates"`
}

// historySource says who changed the finding. Beside AWS's two types there are
// AUTOMATION_RULE and REMEDIATION.
type historySource struct {
	Type     string `json:"Type"`
	Identity string `json:"Identity"`
}

// historyOf answers GetFindingHistory, the latest change first. See
// https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_GetFindingHistory.html.
func (h *Handler) historyOf(r *http.Request) (any, error) {
	p := auth.PrincipalFrom(r.Context())
	if err := auth.Permit(p, auth.FindingRead); err != nil {
		return nil, err
	}
	body, err := readObject(r)
	if err != nil {
		return nil, err
	}
	if err := body.only("FindingIdentifier", "StartTime", "EndTime", "NextToken", "MaxResults"); err != nil {
		return nil, err
	}
	q := store.HistoryQuery{}
	if q.ID, err = body.identifier("FindingIdentifier"); err != nil {
		return nil, err
	}
	if q.From, err = body.time("StartTime"); err != nil {
		return nil, err
	}
	if q.To, err = body.time("EndTime"); err != nil {
		return nil, err
	}
	if q.Limit, err = body.integer("MaxResults", 1, 100, 100); err != nil {
		return nil, err
	}
	if q.Cursor, err = body.text("NextToken", 32<<10); err != nil {
		return nil, err
	}
	found, err := h.cfg.History.Findings(r.Context(), []finding.ID{q.ID})
	if err != nil {
		return nil, err
	}
	// A finding of another account is answered as one that does not exist.
	if len(found) == 0 || !p.Covers(found[0].Account) {
		return nil, &protocol.Error{Status: http.StatusNotFound, Code: "ResourceNotFoundException", Message: "There is no finding with this Id and ProductArn."}
	}
	entries, next, err := h.cfg.History.FindingHistoryWithin(r.Context(), q)
	if err != nil {
		return nil, err
	}
	out := historyPage{Records: make([]historyRecord, 0, len(entries)), NextToken: next}
	for _, e := range entries {
		out.Records = append(out.Records, recordOf(q.ID, e))
	}
	return out, nil
}

func recordOf(id finding.ID, e store.HistoryEntry) historyRecord {
	return historyRecord{
		FindingIdentifier: id, UpdateTime: finding.FormatTime(e.At), FindingCreated: e.Created,
		UpdateSource: sourceOf(e), Updates: append([]finding.Update{}, e.Updates...),
	}
}

// sourceOf says who changed the finding. What an exception does is in AWS's words what
// a customer did, by the exception.
func sourceOf(e store.HistoryEntry) historySource {
	if e.Source == triage.ByException {
		return historySource{Type: triage.ByUpdate, Identity: "exception/" + e.Identity}
	}
	return historySource{Type: e.Source, Identity: e.Identity}
}

// identifier reads an AwsSecurityFindingIdentifier.
func (o object) identifier(name string) (finding.ID, error) {
	raw, err := o.object(name)
	if err != nil {
		return finding.ID{}, err
	}
	var id finding.ID
	if raw == nil || json.Unmarshal(raw, &id) != nil || id.Id == "" || id.ProductArn == "" {
		return id, invalid(name, "data.%s should be an object with Id and ProductArn", name)
	}
	return id, nil
}

// time reads a timestamp; zero when it is not there.
func (o object) time(name string) (time.Time, error) {
	text, err := o.text(name, 64)
	if err != nil || text == "" {
		return time.Time{}, err
	}
	at, err := finding.ParseTime(text)
	if err != nil {
		return at, invalid(name, "data.%s should be a timestamp as 2026-11-29T10:00:00Z", name)
	}
	return at, nil
}
