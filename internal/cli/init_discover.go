package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
)

// discover fills what was not said with what AWS tells: the hub account, by
// sts:GetCallerIdentity, and the management account and the accounts, by
// organizations:ListAccounts. Both are reads by the process's own credentials. An
// organization that cannot be read is named on standard error, and is no error.
func (s *shared) discover(ctx context.Context, i *initSettings) error {
	cfg := config.Default()
	cfg.Organization.HomeRegion, cfg.Organization.Partition, cfg.Organization.MemberRole = i.region, i.partition(), ""
	caller, err := app.NewCaller(cfg, hostUser(), s.quiet())
	if err != nil {
		return err
	}
	defer caller.Close()
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	// Planned only: an operation that is no read would not be sent.
	who, err := caller.Call(ctx, apimodel.Call{Service: "sts", Operation: "GetCallerIdentity", Region: i.region, Input: map[string]any{}}, true, false)
	if err != nil {
		return fault.E(fault.CodeOf(err), "ask AWS for the hub account", err).
			WithHint("set AWS_PROFILE or the variables of AWS's default chain; or leave --discover out and name --hub-account ID")
	}
	account, _ := who.Output["Account"].(string)
	if i.hub != "" && i.hub != account {
		return usage("--hub-account is %s, the credentials are of account %s", i.hub, account)
	}
	i.hub = account
	listing, err := caller.Paginate(ctx, apimodel.Call{Service: "organizations", Operation: "ListAccounts", Region: i.region, Input: map[string]any{}}, awsapi.PageOptions{MaxItems: maxInitAccounts + 2})
	if err != nil {
		fmt.Fprintf(s.Err, "the accounts of the organization are not known: %s\n", printable(err.Error()))
		return nil
	}
	items, _ := listing["Accounts"].([]any)
	if len(items) == 0 {
		fmt.Fprintln(s.Err, "the accounts of the organization are not known: AWS lists none")
	}
	return i.take(items)
}

// take puts the accounts of a listing into the settings: those that are active, without
// the management account. What the flags say wins.
func (i *initSettings) take(items []any) error {
	said := map[string]bool{}
	for _, a := range i.accounts {
		said[a.ID] = true
	}
	for _, item := range items {
		a, _ := item.(map[string]any)
		id, _ := a["Id"].(string)
		arn, _ := a["Arn"].(string)
		name, _ := a["Name"].(string)
		state, _ := a["State"].(string)
		if state == "" {
			state, _ = a["Status"].(string) // AWS says it by State since 2025
		}
		// arn:aws:organizations::MANAGEMENT:account/o-exampleorgid/ID
		management := ""
		if parts := strings.Split(arn, ":"); len(parts) == 6 {
			management = parts[4]
		}
		switch {
		case !isAccount(id) || !isAccount(management):
			return fault.Errorf(fault.Invalid, "read the organization", "AWS lists account %.80q with the ARN %.200q, which is not understood", id, arn).
				WithHint("leave --discover out, and name accounts with --account ID=NAME")
		case i.management != "" && i.management != management:
			return usage("--management-account is %s, that of the organization is %s", i.management, management)
		}
		i.management = management
		if i.sync || said[id] || id == management || state != "ACTIVE" {
			continue
		}
		if !plainText(name, maxAccountName) {
			name = "" // for people only
		}
		i.accounts = append(i.accounts, org.Account{ID: id, Name: name})
	}
	return nil
}
