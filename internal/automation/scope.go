package automation

import (
	"fmt"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/runbook"
)

// scope gives the values of references while a step runs.
type scope struct {
	run   *Run
	state *State
	now   time.Time // the step's own time, from a checkpoint when it is used
	// unknown is the first reference whose value planning knows only as a stand-in.
	unknown *string
}

func (x *execution) scope(now time.Time) scope {
	return scope{run: x.run, state: x.state, now: now, unknown: new(string)}
}

// saw gives the first reference to a stand-in that was looked up, or "".
func (s scope) saw() string { return *s.unknown }

// Lookup implements runbook.Scope.
func (s scope) Lookup(r runbook.Ref) (any, error) {
	v, err := s.value(r)
	if err == nil && s.run.Planning && s.run.Unknown != nil && *s.unknown == "" && s.run.Unknown(v) {
		*s.unknown = r.String()
	}
	return v, err
}

func (s scope) value(r runbook.Ref) (any, error) {
	switch r.Kind {
	case runbook.RefParameter:
		v, ok := s.run.Parameters[r.Name]
		if !ok {
			return nil, fmt.Errorf("the runbook has no such parameter")
		}
		if p, declared := s.run.Document.Parameter(r.Name); declared {
			return p.Expand(v, s)
		}
		return v, nil
	case runbook.RefVariable:
		v, ok := s.state.Variables[r.Name]
		if !ok {
			return nil, fmt.Errorf("the variable has no value")
		}
		return v, nil
	case runbook.RefOutput:
		if _, ran := s.state.Outputs[r.Step]; !ran {
			return nil, fmt.Errorf("step %s has not run", r.Step)
		}
		v, ok := stepOutput(s.run, s.state, r.Step, r.Name)
		if !ok {
			return nil, fmt.Errorf("step %s has no output %s", r.Step, r.Name)
		}
		return v, nil
	case runbook.RefGlobal:
		return s.global(r.Name)
	case runbook.RefAutomation:
		if r.Name == "EXECUTION_ID" {
			return s.run.ExecutionID, nil
		}
	}
	return nil, fmt.Errorf("it is not known")
}

func (s scope) global(name string) (any, error) {
	switch name {
	case "DATE":
		return s.now.UTC().Format("2006-01-02"), nil
	case "DATE_TIME":
		return s.now.UTC().Format("2006-01-02_15.04.05"), nil
	case "REGION":
		return s.run.Region, nil
	case "ACCOUNT_ID":
		return s.run.Account, nil
	case "AWS_PARTITION":
		return s.run.Partition, nil
	}
	return nil, fmt.Errorf("it is not known")
}

// usesTime reports whether resolving v needs the time, by itself or through the
// default of a parameter.
func usesTime(d *runbook.Document, v any) bool {
	for _, r := range runbook.References(v) {
		if isTime(r) {
			return true
		}
		if p, ok := d.Parameter(r.Name); ok && r.Kind == runbook.RefParameter && p.HasDefault && slices.ContainsFunc(runbook.References(p.Default), isTime) {
			return true
		}
	}
	return false
}

func isTime(r runbook.Ref) bool {
	return r.Kind == runbook.RefGlobal && (r.Name == "DATE" || r.Name == "DATE_TIME")
}
