// Package catalog holds the data that Parry ships: insights, the runbooks (Systems
// Manager Automation documents, schema 0.3, that run unmodified in AWS) and the
// playbooks that map a control to one of them.
//
// A runbook is a folder runbooks/<Name> with runbook.yaml, README.md (what it
// does, who notices, how it is undone) and test.yaml (its cases).
// A playbook is a file playbooks/<control>.yaml; package playbook reads it.
// Managed insights are insights/aws.yaml, which AWS's documentation lists, and
// insights/parry.yaml; package insight reads them.
package catalog

import "embed"

// FS holds runbooks/, playbooks/ and insights/ as they are in the repository.
//
//go:embed runbooks playbooks insights
var FS embed.FS
