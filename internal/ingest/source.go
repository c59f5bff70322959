package ingest

import (
	"fmt"
	"slices"

	"github.com/parry-security/parry/internal/finding"
)

// Any, as an account or a product, stands for all of them.
const Any = "*"

// Source is who reports findings: a key, as the edge has authenticated it, or a
// queue, a pull or a file, as they are configured.
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
	// Setting is where its accounts and products are set, for those who are
	// refused. Default: "its key".
	Setting string
}

// Refusal gives the reason why the source may not report f, or "". Whoever can
// write a finding must not thereby speak for an account that is not his
// (design.md section 7).
func (s Source) Refusal(f finding.Finding) string {
	setting := s.Setting
	if setting == "" {
		setting = "its key"
	}
	account := f.Account()
	if !s.speaksFor(account) {
		return fmt.Sprintf("The source %q may not report findings for account %s. Ask an administrator to add the account to %s.", s.Name, account, setting)
	}
	arn := f.String("ProductArn")
	product, ok := finding.ParseProductARN(arn)
	if !ok || !s.speaksAs(arn, product) {
		return fmt.Sprintf("The source %q may not report findings of the product %q. Ask an administrator to add the product to %s.", s.Name, arn, setting)
	}
	// A private product belongs to the account in its ARN. Without this check a
	// source for one account could write under another's product.
	if product.Account != "" && product.Account != account && !s.speaksFor(product.Account) {
		return fmt.Sprintf("The source %q may not report findings of a product of account %s.", s.Name, product.Account)
	}
	return ""
}

// Covers reports whether the source may report for account.
func (s Source) Covers(account string) bool { return s.speaksFor(account) }

func (s Source) speaksFor(account string) bool {
	return account != "" && (slices.Contains(s.Accounts, account) || slices.Contains(s.Accounts, Any))
}

func (s Source) speaksAs(arn string, product finding.ProductARN) bool {
	return slices.Contains(s.Products, arn) || slices.Contains(s.Products, product.Name()) || slices.Contains(s.Products, Any)
}
