package script_test

import (
	"slices"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/script"
)

// BenchmarkStart measures from Run to the handler, which has made an ec2 client,
// and the whole run.
func BenchmarkStart(b *testing.B) {
	for _, level := range []script.Level{script.Namespaces, script.Landlock} {
		b.Run(string(level), func(b *testing.B) {
			r := at(b, level)
			r.Status()
			time.Sleep(5 * time.Second) // models are read meanwhile
			job := script.Job{Handler: "handler", Source: "import boto3\nec2 = boto3.client('ec2')\ndef handler(e, c):\n    return 1\n", Call: nobody, Region: "eu-west-1"}
			var entered []time.Duration
			for b.Loop() {
				began := time.Now()
				job.Entered = func() { entered = append(entered, time.Since(began)) }
				got, err := r.Run(b.Context(), job)
				if err != nil || got.Failure != nil {
					b.Fatal(err, got.Failure)
				}
			}
			slices.Sort(entered)
			b.ReportMetric(float64(entered[len(entered)/2].Microseconds())/1000, "ms-p50")
			b.ReportMetric(float64(entered[len(entered)*99/100].Microseconds())/1000, "ms-p99")
		})
	}
}
