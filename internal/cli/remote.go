package cli

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// client gives a client of the server that the environment, or parry.yaml, names.
func (s *shared) client() (*client.Client, error) {
	endpoint, _, err := s.serverAddress()
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{
		Endpoint: endpoint, AccessKey: s.Getenv("PARRY_ACCESS_KEY_ID"), Secret: store.Secret(s.Getenv("PARRY_SECRET_ACCESS_KEY")),
	})
}

// serverAddress gives the server's address, and whether anything names it but the
// defaults.
func (s *shared) serverAddress() (address string, configured bool, err error) {
	if endpoint := cmp.Or(s.endpoint, s.Getenv("PARRY_ENDPOINT")); endpoint != "" {
		return endpoint, true, nil
	}
	cfg, err := config.Optional(s.config)
	if err != nil {
		return "", false, err
	}
	scheme := "http"
	if cfg.TLS.Certificate != "" {
		scheme = "https"
	}
	_, missing := os.Stat("parry.yaml")
	return scheme + "://" + cfg.Listen, s.config != "" || missing == nil || s.Getenv("PARRY_LISTEN") != "", nil
}

// maxItems bounds what a list command reads when no --limit is given.
const maxItems = 10_000

// all reads pages until limit items are there or none are left.
func all[T any](ctx context.Context, limit int, page func(ctx context.Context, p client.Paging) (api.Page[T], error)) ([]T, error) {
	items := []T{}
	p := client.Paging{}
	for {
		p.Limit = min(api.MaxLimit, limit-len(items))
		got, err := page(ctx, p)
		if err != nil {
			return nil, err
		}
		items = append(items, got.Items...)
		if got.Next == "" || len(items) >= limit {
			return items, nil
		}
		p.Cursor = got.Next
	}
}

// limitFlag adds --limit to a list command.
func limitFlag(c *cobra.Command, limit *int) {
	c.Flags().IntVar(limit, "limit", 200, fmt.Sprintf("how many to list, at most %d", maxItems))
}

func checkLimit(limit int) error {
	if limit < 1 || limit > maxItems {
		return usage("--limit %d is not between 1 and %d", limit, maxItems)
	}
	return nil
}

// listCommand makes c a command that prints what page gives, as far as --limit.
func listCommand[T any](
	s *shared, c *cobra.Command, page func(c *client.Client, ctx context.Context, p client.Paging) (api.Page[T], error), asGrid func(items []T) grid,
) *cobra.Command {
	var limit int
	limitFlag(c, &limit)
	c.Args = cobra.NoArgs
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkLimit(limit); err != nil {
			return err
		}
		server, err := s.client()
		if err != nil {
			return err
		}
		items, err := all(cmd.Context(), limit, func(ctx context.Context, p client.Paging) (api.Page[T], error) { return page(server, ctx, p) })
		if err != nil {
			return err
		}
		return s.print(s.Out, items, func() grid { return asGrid(items) })
	}
	return c
}

// oneOf checks a flag that is empty or one of the values, in any case, and puts
// it into theirs.
func oneOf(flag string, value *string, values ...string) error {
	for _, v := range values {
		if strings.EqualFold(v, *value) {
			*value = v
			return nil
		}
	}
	if *value == "" {
		return nil
	}
	return usage("%s %q is not one of %s", flag, *value, strings.Join(values, ", "))
}

// findFinding gives the one finding that text names: its Id, its key, a remediation of it, or
// "<ProductArn>/<Id>" where several products use the same Id.
func findFinding(ctx context.Context, c *client.Client, text string) (api.Finding, error) {
	page, err := c.Findings(ctx, client.FindingFilter{ID: text}, client.Paging{Limit: 2})
	if err == nil && len(page.Items) == 0 {
		id, ok := finding.ParseKey(text)
		if !ok {
			id, ok = splitIdentity(text)
		}
		if !ok && strings.HasPrefix(text, "rem-") {
			if d, err := c.Remediation(ctx, remediation.ID(text)); err == nil { // else there is no such finding
				id, ok = d.Remediation.Finding, d.Remediation.Finding.Id != ""
			}
		}
		if ok {
			page, err = c.Findings(ctx, client.FindingFilter{ID: id.Id, ProductArn: id.ProductArn}, client.Paging{Limit: 2})
		}
	}
	switch {
	case err != nil:
		return api.Finding{}, err
	case len(page.Items) == 0:
		return api.Finding{}, fault.Errorf(fault.NotFound, "find finding", "there is no finding %q that this key may see", text).WithHint("run: parry finding list")
	case len(page.Items) > 1:
		return api.Finding{}, fault.Errorf(fault.Invalid, "find finding", "several products have a finding with the id %q", text).
			WithHint("name it as <ProductArn>/<Id>")
	}
	return page.Items[0], nil
}

// splitIdentity reads "arn:...:product/<company>/<product>/<Id>".
func splitIdentity(text string) (finding.ID, bool) {
	head, rest, ok := strings.Cut(text, ":product/")
	parts := strings.SplitN(rest, "/", 3)
	if !ok || len(parts) != 3 || parts[2] == "" {
		return finding.ID{}, false
	}
	return finding.ID{ProductArn: head + ":product/" + parts[0] + "/" + parts[1], Id: parts[2]}, true
}

// shortARN leaves out what every line repeats.
func shortARN(arn string) string { return strings.TrimPrefix(arn, "arn:aws:") }
