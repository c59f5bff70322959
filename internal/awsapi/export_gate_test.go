package awsapi

import (
	"context"
	"fmt"
)

// Glob is glob, for the fuzz target.
func Glob(pattern, s string) bool { return glob(pattern, s) }

// Overlap is overlap, for the fuzz target.
func Overlap(a, b string) bool { return overlap(a, b) }

// Permitted asks, as the client does, whether an attempt may leave.
func Permitted(ctx context.Context) error {
	if err := permitted(ctx); err != nil {
		return fmt.Errorf("%w: %w", errNotSent, err)
	}
	return nil
}
