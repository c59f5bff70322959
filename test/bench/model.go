package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
)

// firstCallArg makes this program the new process in which a first call is
// measured: bench first-call SERVICE.
const firstCallArg = "first-call"

// firstCalls are reads without input, of services of all sizes and protocols.
func firstCalls() map[string]string {
	return map[string]string{
		"securityhub": "GetFindings", "iam": "ListUsers", "s3": "ListBuckets", "kms": "ListKeys", "sqs": "ListQueues",
		"rds": "DescribeDBInstances", "lambda": "ListFunctions", "guardduty": "ListDetectors", "cloudtrail": "DescribeTrails",
		"ec2": "DescribeVpcs",
	}
}

// models measures what the first call of a service costs.
func models() measurement {
	return measurement{
		rows: []Row{
			atMost("model/first", "gate: first call of a service, median", 20, "ms"),
			atMost("model/first/ec2", "gate: first call of EC2", 60, "ms"),
			atMost("model/memory", "gate: memory of a loaded service, median", 2, "MB"),
			atMost("model/memory/ec2", "gate: memory of EC2, loaded", 12, "MB"),
		},
		limit: 2 * time.Minute,
		run:   measureModels,
	}
}

func measureModels(ctx context.Context, _ *bench, rows map[string]*Row) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for range 3 {
		var took, kept []float64
		for service := range firstCalls() {
			out, err := exec.CommandContext(ctx, self, firstCallArg, service).Output() //nolint:gosec // this program
			if err != nil {
				return fmt.Errorf("first call of %s: %w", service, err)
			}
			var f firstCall
			if err := json.Unmarshal(out, &f); err != nil {
				return err
			}
			if service == "ec2" {
				rows["model/first/ec2"].set(f.MS, "new process; open the archive, unpack, build schemas, find the endpoint, sign, send to a stub; best of 3")
				rows["model/memory/ec2"].set(f.MB, "heap after that call and two collections, less than before; best of 3")
				continue
			}
			took, kept = append(took, f.MS), append(kept, f.MB)
		}
		slices.Sort(took)
		slices.Sort(kept)
		rows["model/first"].set(took[len(took)/2], "as above, %d services, slowest %.1f ms; best of 3", len(took), took[len(took)-1])
		rows["model/memory"].set(kept[len(kept)/2], "as above, %d services, largest %.1f MB; best of 3", len(kept), kept[len(kept)-1])
	}
	return nil
}

// firstCall is what the new process prints.
type firstCall struct{ MS, MB float64 }

func printFirstCall(ctx context.Context, service string, out io.Writer) error {
	before := heap()
	began := time.Now()
	sent := false
	catalog, err := apimodel.Load()
	if err != nil {
		return err
	}
	client, err := awsapi.NewClient(awsapi.ClientConfig{
		Models: catalog, Region: "eu-west-1", Getenv: func(string) string { return "" },
		HTTP: &http.Client{Transport: stub(func(r *http.Request) (*http.Response, error) {
			sent = true
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
		})},
	})
	if err != nil {
		return err
	}
	keys := awsapi.Credentials{AccessKeyID: "AKIAPARRYBENCH000000", SecretAccessKey: awsapi.NewSecret("secret"), Account: account(0)}
	_, err = client.Send(ctx, keys, apimodel.Call{Service: service, Operation: firstCalls()[service]})
	took := time.Since(began)
	if !sent { // what the stub answers may be no answer of the service
		return errors.Join(err, errors.New("nothing was sent"))
	}
	kept := heap() - before
	runtime.KeepAlive(client)
	return json.NewEncoder(out).Encode(firstCall{MS: float64(took.Microseconds()) / 1000, MB: float64(kept) / (1 << 20)})
}

// heap is what is reachable now, in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far below the limit
}

type stub func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f stub) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
