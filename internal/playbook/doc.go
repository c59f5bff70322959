// Package playbook says what to run for a finding: which control it answers,
// which runbook, where each parameter comes from, how the live resource is
// checked, and how risky the change is. A playbook is data (catalog/playbooks);
// nothing in it is taken from a finding's text except through the typed sources
// of Source.
package playbook
