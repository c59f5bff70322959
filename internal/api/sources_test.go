package api_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/ingest"
	"github.com/parry-security/parry/internal/store"
)

func (v *vault) Reports() []ingest.Report {
	return []ingest.Report{{Name: "findings", Kind: "queue", From: "https://sqs.eu-west-1.amazonaws.com/1/q", Accounts: []string{"*"}, Products: []string{"*"}, Accepted: 3}}
}

func (v *vault) ListRejected(context.Context, string, int, string) ([]store.Rejected, string, error) {
	return []store.Rejected{{ID: "rej-1", Source: "findings", Reason: "because"}}, "", nil
}

func (v *vault) Rejected(_ context.Context, id string) (store.Rejected, error) {
	if id != "rej-1" {
		return store.Rejected{}, store.ErrNotFound
	}
	return store.Rejected{ID: id, Body: []byte("a\xffb")}, nil
}

func (v *vault) DropRejected(_ context.Context, id, by string) error {
	v.called("drop " + id + " by " + by)
	return nil
}

func (v *vault) RetryRejected(_ context.Context, id, by string, own ingest.Source) error {
	v.called(fmt.Sprintf("retry %s by %s as %s for %v", id, by, own.Name, own.Accounts))
	return nil
}

func (v *vault) Import(_ context.Context, own ingest.Source, documents []api.ImportDocument) (api.ImportResult, error) {
	v.called(fmt.Sprintf("import %d as %s for %v", len(documents), own.Name, own.Accounts))
	return api.ImportResult{Accepted: len(documents)}, nil
}

func (v *vault) called(what string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.calls = append(v.calls, what)
}

// Sources, and what they sent in vain, are of the whole installation: a key of
// one account, or a role without the right, is refused.
func TestSourcesAreForThoseWhoHoldAllAccounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	for name, ask := range map[string]func(c *client.Client) error{
		"list":     func(c *client.Client) error { _, err := c.Sources(ctx); return err },
		"rejected": func(c *client.Client) error { _, err := c.RejectedList(ctx, "", client.Paging{}); return err },
		"show":     func(c *client.Client) error { _, err := c.Rejected(ctx, "rej-1"); return err },
		"retry":    func(c *client.Client) error { return c.RetryRejected(ctx, "rej-1") },
		"drop":     func(c *client.Client) error { return c.DropRejected(ctx, "rej-1") },
	} {
		for _, refused := range []*client.Client{b.as(t, "admin", dev), b.as(t, "source", "*")} {
			if err := ask(refused); !fault.Is(err, fault.Denied) {
				t.Errorf("%s: %v", name, err)
			}
		}
		reads := name != "retry" && name != "drop"
		if err := ask(b.as(t, "reader", "*")); (err == nil) != reads {
			t.Errorf("%s by a reader: %v", name, err)
		}
	}
	if len(b.calls) > 0 {
		t.Errorf("reached: %v", b.calls)
	}
	admin := b.as(t, "admin", "*")
	if err := admin.RetryRejected(ctx, "rej-1"); err != nil {
		t.Error(err)
	}
	if err := admin.DropRejected(ctx, "rej-1"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"retry rej-1 by admin as admin for [*]", "drop rej-1 by admin"}, b.calls); diff != "" {
		t.Error(diff)
	}
	if got, err := admin.Rejected(ctx, "rej-1"); err != nil || got.Body != "a\ufffdb" {
		t.Errorf("%q, %v", got.Body, err)
	}
	if _, err := admin.Rejected(ctx, "rej-2"); !fault.Is(err, fault.NotFound) || fault.HintOf(err) == "" {
		t.Error(err)
	}
}

// A file is imported as its key may speak; a reader's may not at all.
func TestImportIsASourcesRight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	documents := []api.ImportDocument{{Text: "{}", Place: "f:1"}}
	for _, role := range []string{"reader", "approver"} {
		if _, err := b.as(t, role, "*").Import(t.Context(), documents); !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v", role, err)
		}
	}
	if got, err := b.as(t, "source", dev).Import(t.Context(), documents); err != nil || got.Accepted != 1 {
		t.Errorf("%+v %v", got, err)
	}
	if diff := cmp.Diff([]string{"import 1 as source for [" + dev + "]"}, b.calls); diff != "" {
		t.Error(diff)
	}
}

// A finding names the others about its control and resource.
func TestAFindingNamesThoseLinkedToIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got, err := b.as(t, "reader", "*").Finding(t.Context(), finding.ID{ProductArn: arn, Id: "dev"})
	if err != nil || len(got.Linked) != 1 || got.Linked[0].ID != "main" || !got.Linked[0].Main {
		t.Errorf("%+v, %v", got.Linked, err)
	}
}
