package securityhub

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/org"
)

// organizationOperations are the reads of members, administrator and aggregator:
// Parry is the administrator of all accounts that it answers for, and aggregates all
// Regions. Changing them is done in parry.yaml.
func (h *Handler) organizationOperations() map[string]operation {
	return map[string]operation{
		"GET /members":                        h.reads(h.listMembers),
		"POST /members/get":                   h.reads(h.getMembers),
		"GET /administrator":                  h.reads(noAdministrator),
		"GET /master":                         h.reads(noAdministrator),
		"GET /invitations":                    h.reads(fixed(map[string]any{"Invitations": []any{}})),
		"GET /invitations/count":              h.reads(fixed(map[string]any{"InvitationsCount": 0})),
		"GET /organization/admin":             h.reads(h.organizationAdmins),
		"GET /organization/configuration":     h.reads(h.organizationConfiguration),
		"GET /findingAggregator/list":         h.reads(h.listAggregators),
		"GET /findingAggregator/get/{arn...}": h.reads(h.getAggregator),
		// There are none: central configuration is AWS's.
		"GET /configurationPolicy/list":             h.reads(fixed(map[string]any{"ConfigurationPolicySummaries": []any{}})),
		"POST /configurationPolicyAssociation/list": h.reads(fixed(map[string]any{"ConfigurationPolicyAssociationSummaries": []any{}})),
	}
}

// reads checks that the caller may see the hub.
func (h *Handler) reads(answer func(*http.Request, auth.Principal) (any, error)) operation {
	return func(r *http.Request) (any, error) {
		p := auth.PrincipalFrom(r.Context())
		if err := auth.Permit(p, auth.HubRead); err != nil {
			return nil, err
		}
		return answer(r, p)
	}
}

func fixed(answer any) func(*http.Request, auth.Principal) (any, error) {
	return func(*http.Request, auth.Principal) (any, error) { return answer, nil }
}

// member is AWS's Member.
type member struct {
	AccountID       string `json:"AccountId"`
	AdministratorID string `json:"AdministratorId"`
	MasterID        string `json:"MasterId"`
	MemberStatus    string `json:"MemberStatus"`
	InvitedAt       string `json:"InvitedAt"`
	UpdatedAt       string `json:"UpdatedAt"`
}

func (h *Handler) memberOf(a org.Account) member {
	since := h.cfg.Since.UTC().Format(time.RFC3339)
	status := "Enabled"
	if a.State.Idle() != "" {
		status = "AccountSuspended"
	}
	return member{a.ID, h.cfg.Account, h.cfg.Account, status, since, since}
}

// members gives the accounts that p may see, by id, without the administrator's own.
func (h *Handler) members(p auth.Principal) []org.Account {
	all := slices.DeleteFunc(slices.Clone(h.cfg.Accounts()), func(a org.Account) bool {
		return a.ID == h.cfg.Account || a.State.Unseen() || !p.Covers(a.ID)
	})
	slices.SortFunc(all, func(a, b org.Account) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// listMembers answers ListMembers; the token is the id of the last account.
func (h *Handler) listMembers(r *http.Request, p auth.Principal) (any, error) {
	const most = 50
	limit, err := queryLimit(r, most)
	if err != nil {
		return nil, err
	}
	after := r.URL.Query().Get("NextToken")
	out := struct {
		Members   []member `json:"Members"`
		NextToken string   `json:"NextToken,omitempty"`
	}{Members: []member{}}
	for _, a := range h.members(p) {
		switch {
		case a.ID <= after:
		case len(out.Members) == limit:
			out.NextToken = out.Members[limit-1].AccountID
			return out, nil
		default:
			out.Members = append(out.Members, h.memberOf(a))
		}
	}
	return out, nil
}

func queryLimit(r *http.Request, most int) (int, error) {
	text := r.URL.Query().Get("MaxResults")
	if text == "" {
		return most, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, invalid("MaxResults", "it should be 1 to %d", most)
	}
	return n, nil
}

func (h *Handler) getMembers(r *http.Request, p auth.Principal) (any, error) {
	const most = 50
	body, err := readObject(r)
	if err != nil {
		return nil, err
	}
	asked, err := body.list("AccountIds", 1, most)
	if err != nil {
		return nil, err
	}
	known := map[string]org.Account{}
	for _, a := range h.members(p) {
		known[a.ID] = a
	}
	type unprocessed struct {
		AccountID        string `json:"AccountId"`
		ProcessingResult string `json:"ProcessingResult"`
	}
	out := struct {
		Members             []member      `json:"Members"`
		UnprocessedAccounts []unprocessed `json:"UnprocessedAccounts"`
	}{[]member{}, []unprocessed{}}
	for i, raw := range asked {
		var id string
		if err := json.Unmarshal(raw, &id); err != nil || len(id) > 64 {
			return nil, invalid("AccountIds", "data.AccountIds[%d] should be the id of an account", i)
		}
		if a, ok := known[id]; ok {
			out.Members = append(out.Members, h.memberOf(a))
		} else {
			out.UnprocessedAccounts = append(out.UnprocessedAccounts, unprocessed{id, "Account is not a member"})
		}
	}
	return out, nil
}

// noAdministrator is the answer that AWS gives to the administrator itself.
func noAdministrator(*http.Request, auth.Principal) (any, error) { return struct{}{}, nil }

func (h *Handler) organizationAdmins(*http.Request, auth.Principal) (any, error) {
	return map[string]any{"AdminAccounts": []any{map[string]any{"AccountId": h.cfg.Account, "Status": "ENABLED"}}}, nil
}

func (h *Handler) organizationConfiguration(*http.Request, auth.Principal) (any, error) {
	return map[string]any{
		"AutoEnable": true, "AutoEnableStandards": "NONE", "MemberAccountLimitReached": false,
		"OrganizationConfiguration": map[string]any{"ConfigurationType": "LOCAL", "Status": "ENABLED"},
	}, nil
}

// arn is that of the one object of a kind: its id is a function of the account.
func (h *Handler) arn(region, kind string) string {
	sum := sha256.Sum256([]byte("parry finding aggregator " + h.cfg.Account))
	return fmt.Sprintf("arn:%s:securityhub:%s:%s:%s/%x-%x-%x-%x-%x", h.cfg.Partition, region, h.cfg.Account, kind, sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

func (h *Handler) aggregator() string { return h.arn(h.cfg.Region, "finding-aggregator") }

func (h *Handler) listAggregators(*http.Request, auth.Principal) (any, error) {
	return map[string]any{"FindingAggregators": []any{map[string]any{"FindingAggregatorArn": h.aggregator()}}}, nil
}

func (h *Handler) getAggregator(r *http.Request, _ auth.Principal) (any, error) {
	if r.PathValue("arn") != h.aggregator() {
		return nil, missing("finding aggregator", h.aggregator())
	}
	return map[string]any{"FindingAggregatorArn": h.aggregator(), "FindingAggregationRegion": h.cfg.Region, "RegionLinkingMode": "ALL_REGIONS"}, nil
}

// missing tells of the only one that there is.
func missing(kind, only string) error {
	return &protocol.Error{Status: http.StatusNotFound, Code: "ResourceNotFoundException", Message: "There is no such " + kind + ". The one there is: " + only + "."}
}

func (h *Handler) aggregatorV2() string { return h.arn(h.cfg.Region, "aggregatorv2") }

func (h *Handler) listAggregatorsV2(*http.Request, auth.Principal) (any, error) {
	return map[string]any{"AggregatorsV2": []any{map[string]any{"AggregatorV2Arn": h.aggregatorV2()}}}, nil
}

func (h *Handler) getAggregatorV2(r *http.Request, _ auth.Principal) (any, error) {
	if r.PathValue("arn") != h.aggregatorV2() {
		return nil, missing("aggregator", h.aggregatorV2())
	}
	return map[string]any{"AggregatorV2Arn": h.aggregatorV2(), "AggregationRegion": h.cfg.Region, "RegionLinkingMode": "ALL_REGIONS", "LinkedRegions": []string{}}, nil
}

func (h *Handler) describeV2(r *http.Request, _ auth.Principal) (any, error) {
	return map[string]string{"HubV2Arn": h.arn(protocol.RegionFrom(r.Context()), "hubv2"), "SubscribedAt": h.since()}, nil
}

// enableV2 does nothing, as enable.
func (h *Handler) enableV2(r *http.Request) (any, error) {
	if _, err := h.enable(r); err != nil {
		return nil, err
	}
	return map[string]string{"HubV2Arn": h.arn(protocol.RegionFrom(r.Context()), "hubv2")}, nil
}
