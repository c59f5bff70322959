package automation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/parry-security/parry/internal/remediation"
)

// Limits of a run with rate control.
const (
	// DefaultConcurrency is MaxConcurrency where none is given.
	DefaultConcurrency = 10
	maxConcurrency     = 1_000
	maxTargets         = 10_000
)

// FanState is how far a run on targets is. It holds counts and the children that
// run, not a row for every target.
type FanState struct {
	// Targets names the blob with the targets; without blobs List holds them.
	Targets string   `json:"targets,omitempty"`
	List    []Target `json:"list,omitempty"`
	Total   int      `json:"total"`

	Launched int   `json:"launched"`
	Ended    int   `json:"ended"`
	Errors   int   `json:"errors"`
	Running  []int `json:"running,omitempty"` // indexes of targets, in the order of their start
	// Places are the targets by location; a run without locations has one.
	Places []Place `json:"places"`

	MaxConcurrency int `json:"max_concurrency"`
	MaxErrors      int `json:"max_errors"`
	// Limit is how many may run now: it doubles each time as many have ended since,
	// up to MaxConcurrency. With waves it is MaxConcurrency.
	Limit int `json:"limit"`
	Since int `json:"since"`
	// Wave is the number of targets of the wave under way, WaveEnd how many are
	// launched when it is complete; 0 = no waves.
	Wave    int `json:"wave,omitempty"`
	WaveEnd int `json:"wave_end,omitempty"`
	Growth  int `json:"growth,omitempty"`
	// FirstError is what the first child that failed said.
	FirstError string `json:"first_error,omitempty"`
	// Stopping is why the children were asked to stop: "cancel" or "timeout".
	Stopping string  `json:"stopping,omitempty"`
	Cancel   *Signal `json:"cancel,omitempty"`
}

// Place is one location's part of a run.
type Place struct {
	First          int `json:"first"` // index of its first target
	Count          int `json:"count"`
	Next           int `json:"next"` // launched so far
	Running        int `json:"running"`
	Errors         int `json:"errors"`
	MaxConcurrency int `json:"max_concurrency"`
	MaxErrors      int `json:"max_errors"`
}

func (f *FanState) clone() *FanState {
	c := *f
	c.Running, c.Places = slices.Clone(f.Running), slices.Clone(f.Places)
	return &c
}

// halted reports whether no more children are launched: the errors are more
// than MaxErrors allows. 0 stops after the first.
//
// https://docs.aws.amazon.com/systems-manager/latest/userguide/running-automations-scale-controls.html
func (f *FanState) halted() bool {
	return f.Errors > f.MaxErrors || f.Stopping != ""
}

// done reports whether nothing runs and nothing more will be launched.
func (f *FanState) done() bool {
	if len(f.Running) > 0 {
		return false
	}
	if f.halted() || f.Launched == f.Total {
		return true
	}
	for _, p := range f.Places {
		if p.Next < p.Count && p.Errors <= p.MaxErrors {
			return false
		}
	}
	return true
}

// launch chooses the targets to start now, and counts them as running.
func (f *FanState) launch() []int {
	if f.halted() {
		return nil
	}
	if f.WaveEnd > 0 && f.Launched >= f.WaveEnd {
		if len(f.Running) > 0 {
			return nil // a wave ends before the next begins
		}
		f.Wave = min(f.Wave*f.Growth, maxTargets)
		f.WaveEnd = f.Launched + f.Wave
	}
	var out []int
	for again := true; again; {
		again = false
		// One of each location in turn, so that none waits for another to be through.
		for i := range f.Places {
			p := &f.Places[i]
			if len(f.Running) >= f.Limit || f.WaveEnd > 0 && f.Launched >= f.WaveEnd {
				return out
			}
			if p.Next >= p.Count || p.Running >= p.MaxConcurrency || p.Errors > p.MaxErrors {
				continue
			}
			target := p.First + p.Next
			p.Next++
			p.Running++
			f.Launched++
			f.Running = append(f.Running, target)
			out = append(out, target)
			again = true
		}
	}
	return out
}

// end counts a child that ended.
func (f *FanState) end(target int, failed bool, why string) {
	i := slices.Index(f.Running, target)
	if i < 0 {
		return
	}
	f.Running = slices.Delete(f.Running, i, i+1)
	f.Ended++
	for n := range f.Places {
		if p := &f.Places[n]; target >= p.First && target < p.First+p.Count {
			p.Running--
			if failed {
				p.Errors++
			}
		}
	}
	if failed {
		f.Errors++
		if f.FirstError == "" {
			f.FirstError = cutEnd(why, 1000) // the cause stands at the end
		}
	}
	if f.Since++; f.Since >= f.Limit && f.Limit < f.MaxConcurrency {
		f.Limit, f.Since = min(2*f.Limit, f.MaxConcurrency), 0
	}
}

// rates fills in what the step asks: numbers, or percentages of the targets.
func (f *FanState) rates(concurrency, errors string, places []placeRate, waves *remediation.Waves) error {
	var err error
	if f.MaxConcurrency, err = rate("MaxConcurrency", concurrency, f.Total, min(DefaultConcurrency, max(f.Total, 1)), 1); err != nil {
		return err
	}
	if len(places) > 0 && concurrency == "" {
		f.MaxConcurrency = min(max(f.Total, 1), maxConcurrency)
	}
	if f.MaxErrors, err = rate("MaxErrors", errors, f.Total, 0, 0); err != nil {
		return err
	}
	if len(places) > 0 && errors == "" {
		f.MaxErrors = f.Total
	}
	for i := range f.Places {
		p := &f.Places[i]
		p.MaxConcurrency, p.MaxErrors = f.MaxConcurrency, f.MaxErrors
		if i >= len(places) {
			continue
		}
		if p.MaxConcurrency, err = rate("TargetLocationMaxConcurrency", places[i].concurrency, p.Count, p.MaxConcurrency, 1); err != nil {
			return err
		}
		fallback := 0
		if errors != "" {
			fallback = f.MaxErrors
		}
		if p.MaxErrors, err = rate("TargetLocationMaxErrors", places[i].errors, p.Count, fallback, 0); err != nil {
			return err
		}
	}
	f.Limit = 1
	if waves != nil {
		f.Limit = f.MaxConcurrency
		f.Wave, f.Growth = max(waves.Canary, 1), max(waves.Growth, 1)
		f.WaveEnd = f.Wave
	}
	return nil
}

// placeRate is the rate of one TargetLocation, as it is written.
type placeRate struct{ concurrency, errors string }

// rate reads a number, or a percentage of total; least is the smallest it may be.
func rate(name, text string, total, fallback, least int) (int, error) {
	if text = strings.TrimSpace(text); text == "" {
		return fallback, nil
	}
	digits, percent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(digits)
	if err != nil || n < least || n > maxTargets || percent && n > 100 || strings.HasPrefix(digits, "+") {
		return 0, fmt.Errorf("%s is %.20q; it needs a number or a percentage such as 10 or 10%%", name, text)
	}
	if percent {
		n = max(total*n/100, least)
	}
	if least > 0 {
		n = min(n, maxConcurrency)
	}
	return n, nil
}
