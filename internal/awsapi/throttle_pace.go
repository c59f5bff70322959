package awsapi

import (
	"math"
	"time"
)

// cut is the last time that AWS complained about a rate.
type cut struct {
	rate float64   // calls a second when it complained, of all nodes together
	at   time.Time // zero: it never did
}

// pace is how fast calls may be sent, in calls a second of all nodes together.
// It is CUBIC of RFC 9438 with the botocore adaptive mode's 0.7: a complaint cuts
// the rate to 0.7 of what was being sent; from there it returns to nearly the
// same rate within recovery, stays about there, and then probes ever faster for
// more. Unlike there the curve is relative to the rate, so that a limit of 2 a
// second is felt for as carefully as one of 200.
type pace struct {
	start float64 // never faster
	floor float64 // never slower
	cut
}

const (
	cutFactor = 0.7
	// recovery is the time from a cut back to the rate at which it came.
	recovery = 5 * time.Second
	// calm is the least time between two cuts: what comes within is one storm.
	calm = 500 * time.Millisecond
	// floorPart is the least part of its start that a rate is cut to. Where it is
	// still too fast, AWS turns calls away, which costs an answer and no change.
	floorPart = 10
	minFloor  = 0.5
)

func newPace(start float64) pace {
	return pace{start: start, floor: min(start, max(start/floorPart, minFloor))}
}

// now gives the rate at a time.
func (p *pace) now(t time.Time) float64 {
	if p.at.IsZero() {
		return p.start
	}
	r := recovery.Seconds()
	x := t.Sub(p.at).Seconds() - r
	return min(max(p.rate*(1+(1-cutFactor)*math.Pow(x/r, 3)), p.floor), p.start)
}

// slowed reports whether a cut still holds the rate below its start.
func (p *pace) slowed(t time.Time) bool { return !p.at.IsZero() && p.now(t) < p.start }

// complain takes note that AWS turned away a call that was sent at a time, while
// so many a second were being sent, and reports whether that cuts the rate. A
// call from before the last cut says nothing about the rate after it.
func (p *pace) complain(now, sent time.Time, measured float64) bool {
	if !p.at.IsZero() && (sent.Before(p.at) || now.Sub(p.at) < calm) {
		return false
	}
	p.cut = cut{rate: max(min(p.now(now), measured), p.floor), at: now}
	return true
}
