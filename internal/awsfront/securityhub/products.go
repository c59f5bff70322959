package securityhub

import (
	"net/http"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/normalize/asff"
)

// productOperations tell of the products that findings may be of. Which ones a
// source may report is decided when its key is made.
func (h *Handler) productOperations() map[string]operation {
	return map[string]operation{
		"GET /products":              h.reads(h.describeProducts),
		"GET /productSubscriptions":  h.reads(h.productSubscriptions),
		"POST /productSubscriptions": h.reads(h.enableProduct),
	}
}

// awsProducts are those of which Parry takes findings and events in any case.
func awsProducts() []string {
	return []string{"aws/access-analyzer", "aws/config", "aws/guardduty", "aws/health", "aws/inspector", "aws/macie", "aws/securityhub"}
}

// callerAccount is the account that p speaks for: that of a key with one account, as
// in GetCallerIdentity, else the hub's.
func (h *Handler) callerAccount(p auth.Principal) string {
	if len(p.Accounts) == 1 && p.Accounts[0] != auth.All {
		return p.Accounts[0]
	}
	return h.cfg.Account
}

// products gives what p may report as company/product: what its key names. A key
// that names none or all has AWS's and the account's custom one.
func (h *Handler) products(p auth.Principal) []string {
	var names []string
	for _, name := range p.Products {
		if arn, ok := finding.ParseProductARN(name); ok {
			name = arn.Name()
		}
		if name != auth.All && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 || slices.Contains(p.Products, auth.All) {
		for _, name := range append(awsProducts(), h.callerAccount(p)+"/default") {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func (h *Handler) subscriptionARN(r *http.Request, p auth.Principal, product string) string {
	return "arn:" + h.cfg.Partition + ":securityhub:" + protocol.RegionFrom(r.Context()) + ":" + h.callerAccount(p) + ":product-subscription/" + product
}

func (h *Handler) productSubscriptions(r *http.Request, p auth.Principal) (any, error) {
	const list = "product subscriptions"
	limit, after, err := paging(r, list)
	if err != nil {
		return nil, err
	}
	names, next := pageAfter(h.products(p), func(name string) string { return name }, list, after, limit)
	out := struct {
		ProductSubscriptions []string `json:"ProductSubscriptions"`
		NextToken            string   `json:"NextToken,omitempty"`
	}{[]string{}, next}
	for _, name := range names {
		out.ProductSubscriptions = append(out.ProductSubscriptions, h.subscriptionARN(r, p, name))
	}
	return out, nil
}

// enableProduct changes nothing: what a caller may report is enabled already.
func (h *Handler) enableProduct(r *http.Request, p auth.Principal) (any, error) {
	body, err := readObject(r)
	if err != nil {
		return nil, err
	}
	text, err := body.text("ProductArn", 2048)
	if err != nil {
		return nil, err
	}
	arn, ok := finding.ParseProductARN(text)
	switch {
	case !ok:
		return nil, invalid("ProductArn", "data.ProductArn should be the ARN of a product")
	case !slices.Contains(h.products(p), arn.Name()):
		return nil, invalid("ProductArn", "The key of this request may not report findings of %s. Next: parry key create NAME --role source --account ID --product %s", clip(arn.Name()), clip(arn.Name()))
	}
	return map[string]string{"ProductSubscriptionArn": h.subscriptionARN(r, p, arn.Name())}, nil
}

type productItem struct {
	ProductArn       string   `json:"ProductArn"`
	ProductName      string   `json:"ProductName"`
	CompanyName      string   `json:"CompanyName"`
	Categories       []string `json:"Categories"`
	IntegrationTypes []string `json:"IntegrationTypes"`
}

func (h *Handler) describeProducts(r *http.Request, p auth.Principal) (any, error) {
	const list = "products"
	limit, after, err := paging(r, list)
	if err != nil {
		return nil, err
	}
	names := h.products(p)
	if asked := r.URL.Query().Get("ProductArn"); asked != "" {
		arn, ok := finding.ParseProductARN(asked)
		if !ok {
			return nil, invalid("ProductArn", "data.ProductArn should be the ARN of a product")
		}
		names = slices.DeleteFunc(names, func(name string) bool { return name != arn.Name() })
	}
	names, next := pageAfter(names, func(name string) string { return name }, list, after, limit)
	out := struct {
		Products  []productItem `json:"Products"`
		NextToken string        `json:"NextToken,omitempty"`
	}{[]productItem{}, next}
	for _, name := range names {
		arn := finding.ProductARN{Partition: h.cfg.Partition, Region: protocol.RegionFrom(r.Context())}
		arn.Company, arn.Product, _ = strings.Cut(name, "/")
		if arn.Company == h.callerAccount(p) {
			arn.Account = arn.Company
		}
		company, product := asff.Names(arn)
		out.Products = append(out.Products, productItem{
			ProductArn: arn.String(), ProductName: product, CompanyName: company, Categories: []string{}, IntegrationTypes: []string{"SEND_FINDINGS_TO_SECURITY_HUB"},
		})
	}
	return out, nil
}
