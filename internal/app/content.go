package app

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// Content is the catalog: playbooks and the runbooks they name.
type Content struct {
	playbooks map[string]playbook.Playbook
	runbooks  map[string]pinnedRunbook
}

type pinnedRunbook struct {
	pinned remediation.Runbook
	doc    *runbook.Document
}

// LoadContent reads catalog files: runbooks/<Name>/runbook.yaml and
// playbooks/*.yaml. A file that does not parse is an error: the catalog ships
// with the binary.
func LoadContent(files fs.FS) (*Content, error) {
	c := &Content{playbooks: map[string]playbook.Playbook{}, runbooks: map[string]pinnedRunbook{}}
	documents, err := fs.Glob(files, "runbooks/*/runbook.yaml")
	if err != nil {
		return nil, fault.E(fault.Internal, "list runbooks", err)
	}
	for _, name := range documents {
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fault.E(fault.Internal, "read runbook", err)
		}
		doc, err := runbook.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		id := path.Base(path.Dir(name))
		c.runbooks[id] = pinnedRunbook{remediation.Runbook{Name: id, Revision: runbook.Revision(raw), Content: string(raw)}, doc}
	}
	books, err := fs.Glob(files, "playbooks/*.yaml")
	if err != nil {
		return nil, fault.E(fault.Internal, "list playbooks", err)
	}
	for _, name := range books {
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fault.E(fault.Internal, "read playbook", err)
		}
		pb, err := playbook.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if _, ok := c.runbooks[pb.Runbook]; !ok {
			return nil, fault.Errorf(fault.Invalid, "load catalog", "%s names runbook %q, which is not in the catalog", name, pb.Runbook)
		}
		if _, ok := c.playbooks[pb.ID]; ok {
			return nil, fault.Errorf(fault.Invalid, "load catalog", "%s has the id %q of another playbook", name, pb.ID)
		}
		c.playbooks[pb.ID] = pb
	}
	return c, nil
}

// Playbook gives the playbook with id.
func (c *Content) Playbook(id string) (playbook.Playbook, bool) {
	pb, ok := c.playbooks[id]
	return pb, ok
}

// PlaybookFor gives the playbook that answers control, compared as Security Hub
// compares control ids: without regard to case.
func (c *Content) PlaybookFor(control string) (playbook.Playbook, bool) {
	for _, pb := range c.Playbooks() {
		if slices.ContainsFunc(pb.Controls, func(v string) bool { return strings.EqualFold(v, control) }) {
			return pb, true
		}
	}
	return playbook.Playbook{}, false
}

// Playbooks lists all playbooks by id.
func (c *Content) Playbooks() []playbook.Playbook {
	out := make([]playbook.Playbook, 0, len(c.playbooks))
	for _, pb := range c.playbooks {
		out = append(out, pb)
	}
	slices.SortFunc(out, func(a, b playbook.Playbook) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// RunbookNames lists the runbooks of the catalog in order.
func (c *Content) RunbookNames() []string { return slices.Sorted(maps.Keys(c.runbooks)) }

// Runbook gives the document name pinned to its revision.
func (c *Content) Runbook(name string) (remediation.Runbook, *runbook.Document, bool) {
	r, ok := c.runbooks[name]
	return r.pinned, r.doc, ok
}

// Runbooks lists the names of all documents, sorted.
func (c *Content) Runbooks() []string {
	return slices.Sorted(maps.Keys(c.runbooks))
}
