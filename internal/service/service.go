// Package service holds what every running part of Parry shares: how it starts
// and stops, where it takes the time from, and where it takes identifiers from.
package service

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"
)

// Service is background work with an owner.
//
// Start returns at once; Stop waits until every goroutine of the service has
// ended or ctx is done. Both are safe to call more than once.
type Service interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
}

// Clock is where Parry takes the time from, so that a replayed event gives the
// same plan and a test need not wait.
type Clock interface {
	Now() time.Time
}

// SystemClock is the wall clock in UTC.
type SystemClock struct{}

// Now gives the current time in UTC.
func (SystemClock) Now() time.Time { return time.Now().UTC() }

// FixedClock is a clock for tests that moves only when told. Safe for
// concurrent use.
type FixedClock struct {
	mu  sync.Mutex
	now time.Time
}

// NewFixedClock gives a clock that stands at t.
func NewFixedClock(t time.Time) *FixedClock { return &FixedClock{now: t.UTC()} }

// Now gives the time at which the clock stands.
func (c *FixedClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock by d.
func (c *FixedClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// IDs makes identifiers that sort by nothing and repeat never.
type IDs interface {
	// NewID gives prefix, a hyphen and 20 hexadecimal digits.
	NewID(prefix string) string
}

// RandomIDs takes identifiers from the operating system's random source.
type RandomIDs struct{}

// NewID gives prefix-<20 hex digits>.
func (RandomIDs) NewID(prefix string) string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails since Go 1.24: it aborts the program instead.
	return prefix + "-" + hex.EncodeToString(b[:])
}
