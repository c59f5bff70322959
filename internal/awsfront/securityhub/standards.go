package securityhub

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/control"
	"github.com/parry-security/parry/internal/store"
)

// ControlCounter counts what findings say about controls.
type ControlCounter interface {
	ControlCounts(ctx context.Context, q store.ControlQuery, yield func(control.Count) error) error
}

// controlOperations are the reads of standards and controls. Their content is the
// catalogue's, and which standards are enabled is learned from the findings
// within the caller's accounts: Security Hub makes none for others.
func (h *Handler) controlOperations() map[string]operation {
	return map[string]operation{
		"GET /standards":                    h.describeStandards,
		"POST /standards/get":               h.enabledStandards,
		"GET /standards/controls/{arn...}":  h.standardsControls,
		"GET /securityControls/definitions": h.listDefinitions,
		"GET /securityControl/definition":   h.getDefinition,
		"POST /securityControls/batchGet":   h.batchGetControls,
		"GET /associations":                 h.listAssociations,
		"POST /associations/batchGet":       h.batchGetAssociations,
	}
}

// site is where an answer's ARNs are: the caller's region, the hub's account.
type site struct{ partition, region, account string }

func (h *Handler) site(r *http.Request) site {
	return site{h.cfg.Partition, protocol.RegionFrom(r.Context()), h.cfg.Account}
}

func (s site) standard(v control.Standard) string { return v.ARN(s.partition, s.region) }

func (s site) control(id string) string {
	return "arn:" + s.partition + ":securityhub:" + s.region + ":" + s.account + ":security-control/" + id
}

func (h *Handler) since() string { return h.cfg.Since.UTC().Format("2006-01-02T15:04:05.000Z") }

// paging reads MaxResults and NextToken of the query.
func paging(r *http.Request, list string) (limit int, after string, err error) {
	q := r.URL.Query()
	limit = 100
	if s := q.Get("MaxResults"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 || limit > 100 {
			return 0, "", invalid("MaxResults", "data.MaxResults should be an integer from 1 to 100")
		}
	}
	after, err = openNext(q.Get("NextToken"), list)
	return limit, after, err
}

// nextToken binds the key that a page ended with to the list and its filter.
func nextToken(list, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + "\x00" + key))
}

func openNext(token, list string) (string, error) {
	if token == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	key, ok := strings.CutPrefix(string(raw), list+"\x00")
	if err != nil || !ok || len(token) > 4096 {
		return "", invalid("NextToken", "The token is not one of this request's")
	}
	return key, nil
}

// pageAfter gives the items that follow the one with key after, at most limit,
// and the token of the page that follows them.
func pageAfter[T any](items []T, key func(T) string, list, after string, limit int) ([]T, string) {
	from := 0
	for i, item := range items {
		if after != "" && key(item) == after {
			from = i + 1
		}
	}
	items = items[from:]
	if len(items) <= limit {
		return items, ""
	}
	items = items[:limit]
	return items, nextToken(list, key(items[limit-1]))
}

type standardItem struct {
	StandardsArn       string            `json:"StandardsArn"`
	Name               string            `json:"Name"`
	Description        string            `json:"Description"`
	EnabledByDefault   bool              `json:"EnabledByDefault"`
	StandardsManagedBy map[string]string `json:"StandardsManagedBy"`
}

type standardsPage struct {
	Standards []standardItem `json:"Standards"`
	NextToken string         `json:"NextToken,omitempty"`
}

func (h *Handler) describeStandards(r *http.Request) (any, error) {
	if err := auth.Permit(auth.PrincipalFrom(r.Context()), auth.HubRead); err != nil {
		return nil, err
	}
	limit, after, err := paging(r, "standards")
	if err != nil {
		return nil, err
	}
	at := h.site(r)
	items, next := pageAfter(control.Standards(), func(s control.Standard) string { return s.Key }, "standards", after, limit)
	page := standardsPage{Standards: []standardItem{}, NextToken: next}
	for _, s := range items {
		product := "Security Hub"
		if s.Managed != "" {
			product = s.Managed
		}
		page.Standards = append(page.Standards, standardItem{
			StandardsArn: at.standard(s), Name: s.Name, Description: s.Summary, EnabledByDefault: s.Default,
			StandardsManagedBy: map[string]string{"Company": "AWS", "Product": product},
		})
	}
	return page, nil
}

// enabled gives the keys of the standards that there are findings of within the
// caller's accounts.
func (h *Handler) enabled(r *http.Request) (map[string]bool, error) {
	keys := map[string]bool{}
	q := store.ControlQuery{Accounts: auth.Scope(auth.PrincipalFrom(r.Context()))}
	err := h.cfg.Controls.ControlCounts(r.Context(), q, func(c control.Count) error {
		for _, s := range control.Standards() {
			if !keys[s.Key] && c.For(s.Key) {
				keys[s.Key] = true
			}
		}
		return nil
	})
	return keys, err
}

type subscriptionItem struct {
	StandardsSubscriptionArn   string            `json:"StandardsSubscriptionArn"`
	StandardsArn               string            `json:"StandardsArn"`
	StandardsInput             map[string]string `json:"StandardsInput"`
	StandardsStatus            string            `json:"StandardsStatus"`
	StandardsControlsUpdatable string            `json:"StandardsControlsUpdatable"`
}

type subscriptionsPage struct {
	StandardsSubscriptions []subscriptionItem `json:"StandardsSubscriptions"`
	NextToken              string             `json:"NextToken,omitempty"`
}

// maxSubscriptions is how many subscriptions one request may name.
const maxSubscriptions = 25

func (h *Handler) enabledStandards(r *http.Request) (any, error) {
	if err := auth.Permit(auth.PrincipalFrom(r.Context()), auth.HubRead); err != nil {
		return nil, err
	}
	body, err := readObject(r)
	if err != nil {
		return nil, err
	}
	limit, err := body.integer("MaxResults", 1, 100, 100)
	if err != nil {
		return nil, err
	}
	token, err := body.text("NextToken", 4096)
	if err != nil {
		return nil, err
	}
	after, err := openNext(token, "subscriptions")
	if err != nil {
		return nil, err
	}
	asked, err := askedStandards(body)
	if err != nil {
		return nil, err
	}
	on, err := h.enabled(r)
	if err != nil {
		return nil, err
	}
	var standards []control.Standard
	for _, s := range control.Standards() {
		if on[s.Key] && (asked == nil || asked[s.Key]) {
			standards = append(standards, s)
		}
	}
	at := h.site(r)
	standards, next := pageAfter(standards, func(s control.Standard) string { return s.Key }, "subscriptions", after, limit)
	page := subscriptionsPage{StandardsSubscriptions: []subscriptionItem{}, NextToken: next}
	for _, s := range standards {
		page.StandardsSubscriptions = append(page.StandardsSubscriptions, subscriptionItem{
			StandardsSubscriptionArn: s.SubscriptionARN(at.partition, at.region, at.account), StandardsArn: at.standard(s),
			StandardsInput: map[string]string{}, StandardsStatus: "READY", StandardsControlsUpdatable: "READY_FOR_UPDATES",
		})
	}
	return page, nil
}

// askedStandards reads StandardsSubscriptionArns; nil asks for all.
func askedStandards(body object) (map[string]bool, error) {
	const name = "StandardsSubscriptionArns"
	if _, ok := body.given(name); !ok {
		return nil, nil
	}
	items, err := body.list(name, 1, maxSubscriptions)
	if err != nil {
		return nil, err
	}
	asked := map[string]bool{}
	for i, raw := range items {
		var arn string
		if err := json.Unmarshal(raw, &arn); err != nil {
			return nil, invalid(name, "data.%s[%d] should be string", name, i)
		}
		s, ok := control.StandardByARN(arn)
		if !ok || !strings.HasPrefix(arn, "arn:") {
			return nil, invalid(name, "data.%s[%d] is not the ARN of a subscription to a standard", name, i)
		}
		asked[s.Key] = true
	}
	return asked, nil
}

type standardsControl struct {
	StandardsControlArn    string   `json:"StandardsControlArn"`
	ControlStatus          string   `json:"ControlStatus"`
	ControlStatusUpdatedAt string   `json:"ControlStatusUpdatedAt"`
	ControlID              string   `json:"ControlId"`
	Title                  string   `json:"Title"`
	Description            string   `json:"Description"`
	RemediationURL         string   `json:"RemediationUrl"`
	SeverityRating         string   `json:"SeverityRating"`
	RelatedRequirements    []string `json:"RelatedRequirements"`
}

type standardsControlsPage struct {
	Controls  []standardsControl `json:"Controls"`
	NextToken string             `json:"NextToken,omitempty"`
}

func (h *Handler) standardsControls(r *http.Request) (any, error) {
	if err := auth.Permit(auth.PrincipalFrom(r.Context()), auth.HubRead); err != nil {
		return nil, err
	}
	arn := r.PathValue("arn")
	s, ok := control.StandardByARN(arn)
	if !ok || !strings.HasPrefix(arn, "arn:") {
		return nil, invalid("StandardsSubscriptionArn", "It is not the ARN of a subscription to a standard")
	}
	list := "controls of " + s.Key
	limit, after, err := paging(r, list)
	if err != nil {
		return nil, err
	}
	on, err := h.enabled(r)
	if err != nil {
		return nil, err
	}
	if !on[s.Key] {
		return nil, &protocol.Error{Status: http.StatusNotFound, Code: "ResourceNotFoundException", Message: "There are no findings of the standard " + s.Name + " within your accounts, so it is not enabled."}
	}
	at := h.site(r)
	items, next := pageAfter(members(s.Key), func(d control.Definition) string { return d.ID }, list, after, limit)
	page := standardsControlsPage{Controls: []standardsControl{}, NextToken: next}
	for _, d := range items {
		page.Controls = append(page.Controls, standardsControl{
			StandardsControlArn: s.ControlARN(at.partition, at.region, at.account, s.Rule(d.ID)), ControlStatus: "ENABLED", ControlStatusUpdatedAt: h.since(),
			ControlID: s.ControlID(d.ID), Title: d.Title, Description: d.Title, RemediationURL: d.RemediationURL(), SeverityRating: d.Severity,
			RelatedRequirements: texts(d.RelatedIn(s.Key)),
		})
	}
	return page, nil
}

// members gives the controls of a standard, or all with "".
func members(standard string) []control.Definition {
	if standard == "" {
		return control.All()
	}
	var out []control.Definition
	for _, d := range control.All() {
		if _, in := d.In(standard); in {
			out = append(out, d)
		}
	}
	return out
}

func texts(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
