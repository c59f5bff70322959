package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/script"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/test/testenv"
)

// scriptStarts measures how long a runbook's script waits for its first line's
// effect: from Run until the handler is entered, with a new EC2 client made at the
// top of the script, as most scripts do.
func scriptStarts() measurement {
	return measurement{
		rows: []Row{
			atMost("script/start-p50", "script start, new EC2 client, p50", 80, "ms"),
			atMost("script/start-p99", "script start, new EC2 client, p99", 160, "ms"),
		},
		limit: 120 * time.Second,
		run: func(ctx context.Context, b *bench, rows map[string]*Row) error {
			python, err := testenv.FindPython(ctx, "")
			if err != nil {
				return err
			}
			r, err := script.New(script.Config{Python: python, Clock: service.SystemClock{}, Logger: b.logger()})
			if err != nil {
				return err
			}
			defer func() { _ = r.Stop(context.WithoutCancel(ctx)) }() // it ends with this process
			status := r.Status()
			if status.Level == "" {
				return fmt.Errorf("scripts are refused here: %v", status.Reasons)
			}
			// The interpreter reads the models of common services when it has nothing to do.
			if err := wait(ctx, 5*time.Second); err != nil {
				return err
			}
			took, err := startScripts(ctx, r, 200)
			if err != nil {
				return err
			}
			where := fmt.Sprintf("level %s, %d scripts one after the other, from Run to the handler", status.Level, len(took))
			rows["script/start-p50"].set(milliseconds(took[len(took)/2]), "%s", where)
			rows["script/start-p99"].set(milliseconds(took[len(took)*99/100]), "%s", where)
			return nil
		},
	}
}

// startScripts runs n scripts and gives what each took to begin, sorted.
func startScripts(ctx context.Context, r *script.Runner, n int) ([]time.Duration, error) {
	took := make([]time.Duration, 0, n)
	job := script.Job{
		Handler: "handler", Region: "eu-central-1", Source: "import boto3\nec2 = boto3.client('ec2')\ndef handler(events, context):\n    return events\n",
		Call: func(context.Context, apimodel.Call) (apimodel.Reply, error) {
			return apimodel.Reply{}, errors.New("this script makes no calls")
		},
	}
	for range n {
		began := time.Now()
		job.Entered = func() { took = append(took, time.Since(began)) }
		got, err := r.Run(ctx, job)
		if err != nil {
			return nil, err
		}
		if got.Failure != nil {
			return nil, errors.New(got.Failure.Message)
		}
	}
	slices.Sort(took)
	return took, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
