package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
)

const (
	callAccounts = 1000
	// callersAtOnce is how many executions are under way.
	callersAtOnce = 64
)

// accountCalls measures one call in each account of a large organization: the
// role is assumed, then the call is made. STS's own limit is what holds it back:
// the gate starts with its quota, 600 calls at once and 300 a second after that.
func accountCalls() measurement {
	return measurement{
		rows: []Row{
			atMost("accounts/time", "1,000 accounts, one call each, roles assumed", 2.5, "s"),
			atMost("accounts/memory", "  resident memory, peak", 100, "MB"),
		},
		limit: time.Minute,
		run:   measureAccountCalls,
	}
}

// accountsResult is what the process that calls says of itself.
type accountsResult struct {
	Seconds float64 `json:"seconds"`
	PeakMB  float64 `json:"peak_mb"`
}

func measureAccountCalls(ctx context.Context, _ *bench, rows map[string]*Row) error {
	cloud, err := startFakeAWS(ctx, 0)
	if err != nil {
		return err
	}
	defer cloud.stop()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for range 3 {
		cmd := exec.CommandContext(ctx, self, "call-accounts", strconv.Itoa(callAccounts))
		cmd.Env = append(os.Environ(), cloud.environ("NODE")...)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return err
		}
		var r accountsResult
		if err := json.Unmarshal(out, &r); err != nil {
			return fmt.Errorf("it printed %q: %w", oneLine(string(out)), err)
		}
		rows["accounts/time"].set(r.Seconds, "%d at once, a process of its own, best of 3; STS's quota alone allows no less than 1.3 s", callersAtOnce)
		rows["accounts/memory"].set(r.PeakMB, "models of two services, %d sets of credentials", callAccounts)
	}
	if n := len(cloud.log()); n != 3*callAccounts {
		return fmt.Errorf("%d calls arrived, not %d", n, 3*callAccounts)
	}
	return nil
}

// callEachAccount is the process that calls.
func callEachAccount(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want the number of accounts, got %d arguments", len(args))
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	models, err := apimodel.Load()
	if err != nil {
		return err
	}
	client, err := awsapi.NewClient(awsapi.ClientConfig{Models: models})
	if err != nil {
		return err
	}
	defer client.Close()
	gate, err := awsapi.New(awsapi.Config{Sender: client, Models: models, Credentials: awsapi.NewCredentialSource(client), Guards: awsapi.Guards{Accounts: []string{"*"}}})
	if err != nil {
		return err
	}
	session := gate.ReadOnly(awsapi.Identity{Role: "ParryMemberRole", SessionName: "bench"})
	began := time.Now()
	errs := make([]error, callersAtOnce)
	var group sync.WaitGroup
	for w := range callersAtOnce {
		group.Go(func() {
			for i := w; i < n && errs[w] == nil; i += callersAtOnce {
				_, errs[w] = session.Call(ctx, "", apimodel.Call{
					Service: "s3", Operation: "GetBucketPolicy", Account: account(i), Region: "us-east-1", Input: map[string]any{"Bucket": "logs-" + account(i)},
				})
			}
		})
	}
	group.Wait()
	r := accountsResult{Seconds: time.Since(began).Seconds()}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	_, peak, err := memory(os.Getpid())
	if err != nil {
		return err
	}
	r.PeakMB = peak
	return json.NewEncoder(os.Stdout).Encode(r)
}
