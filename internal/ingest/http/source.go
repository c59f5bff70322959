package http

import (
	"fmt"
	"slices"

	"github.com/parry-security/parry/internal/finding"
)

// Any, as an account or a product, stands for all of them.
const Any = "*"

// Source is who sent a batch, as the edge has authenticated it.
type Source struct {
	// Name travels with every finding of the source.
	Name string
	// Principal is who signed the request, for the log.
	Principal string
	// Accounts it may report findings for; empty means none.
	Accounts []string
	// Products it may report as: a product ARN, or company/product for that
	// product in every region. Empty means none.
	Products []string
	// Trusted marks a source whose findings may lead to automatic remediation.
	Trusted bool
}

// refusal gives the reason why the source may not report f, or "".
func (s Source) refusal(f finding.Finding) string {
	account := f.Account()
	if !s.speaksFor(account) {
		return fmt.Sprintf("The source %q may not report findings for account %s. Ask an administrator to add the account to its key.", s.Name, account)
	}
	arn := f.String("ProductArn")
	product, ok := finding.ParseProductARN(arn)
	if !ok || !s.speaksAs(arn, product) {
		return fmt.Sprintf("The source %q may not report findings of the product %q. Ask an administrator to add the product to its key.", s.Name, arn)
	}
	// A private product belongs to the account in its ARN. Without this check a
	// source for one account could write under another's product.
	if product.Account != "" && product.Account != account && !s.speaksFor(product.Account) {
		return fmt.Sprintf("The source %q may not report findings of a product of account %s.", s.Name, product.Account)
	}
	return ""
}

func (s Source) speaksFor(account string) bool {
	return account != "" && (slices.Contains(s.Accounts, account) || slices.Contains(s.Accounts, Any))
}

func (s Source) speaksAs(arn string, product finding.ProductARN) bool {
	return slices.Contains(s.Products, arn) || slices.Contains(s.Products, product.Name()) || slices.Contains(s.Products, Any)
}
