package finding_test

import (
	"testing"

	"github.com/parry-security/parry/internal/finding"
)

func BenchmarkValidate(b *testing.B) {
	for _, name := range []string{"afsbp-s3.4.json", "afsbp-rds.5.json"} {
		b.Run(name, func(b *testing.B) {
			f, err := finding.Parse(samples(b)[name])
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := f.Validate(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	raw := samples(b)["afsbp-s3.4.json"]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := finding.Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReopen(b *testing.B) {
	raw := samples(b)["afsbp-s3.4.json"]
	b.Run("whole", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := finding.Reopen(raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("members", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := finding.ReopenMembers(raw, "Compliance"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	f, err := finding.Reopen(samples(b)["afsbp-s3.4.json"])
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = f.With("ProcessedAt", "2026-01-01T00:00:00.000Z").JSON()
	}
}
