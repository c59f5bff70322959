package app

import (
	"context"
	"log/slog"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
)

// installRules is all that an installer may change, besides what deny rules of the
// configuration refuse.
func installRules(account string, regions []string) []awsapi.Rule {
	return []awsapi.Rule{
		{ID: "install-stacks", Services: []string{"cloudformation"}, Accounts: []string{account}, Regions: regions, Operations: []string{
			"CreateChangeSet", "ExecuteChangeSet", "DeleteChangeSet", "CreateStackSet", "UpdateStackSet", "CreateStackInstances",
		}},
		{ID: "install-action", Services: []string{"securityhub"}, Accounts: []string{account}, Regions: regions, Operations: []string{"CreateActionTarget"}},
	}
}

// NewInstaller opens a gate for who connects an organization, with the credentials that
// the process has, in their account and in regions. What Parry itself lives on, and the
// management account, are out of every other gate's reach: an installer makes the one,
// and may work in the other. So its guards are of its own: a closed list of operations
// in one account. It gives that account too.
func NewInstaller(ctx context.Context, cfg config.Config, person string, regions []string, logger *slog.Logger) (*Caller, string, error) {
	const op = "open the gate"
	models, err := apimodel.Load()
	if err != nil {
		return nil, "", err
	}
	client, err := newClient(cfg, awsapi.ClientConfig{Models: models, Logger: logger})
	if err != nil {
		return nil, "", err
	}
	cfg.Organization.MemberRole = ""
	open := func(account string) (*Caller, error) {
		limits := awsapi.Guards{Deny: cfg.Guards.Deny, BreakGlass: cfg.Guards.BreakGlass}
		if account != "" { // before it is known, nothing may be changed at all
			limits.Accounts, limits.AllowManagement, limits.Allow = []string{account}, true, installRules(account, regions)
		}
		return openCaller(cfg, client, models, limits, person, logger)
	}
	reader, err := open("")
	if err != nil {
		return nil, "", err
	}
	_, out, err := reader.Plan(ctx, apimodel.Call{Service: "sts", Operation: "GetCallerIdentity", Input: map[string]any{}})
	if err != nil {
		client.Close()
		return nil, "", err
	}
	account, _ := out["Account"].(string)
	if account == "" {
		client.Close()
		return nil, "", fault.Errorf(fault.Unavailable, op, "AWS does not say which account these credentials are of")
	}
	caller, err := open(account)
	return caller, account, err
}
