package ssm

import (
	"container/list"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

const (
	// documentType is the only one that Parry keeps.
	documentType = "Automation"
	formatYAML   = "YAML"
	formatJSON   = "JSON"
	// catalogOwner owns the documents that come with Parry, as Amazon owns its own.
	catalogOwner = "Parry"
	// catalogPrefix begins their names; nobody else's may begin so.
	catalogPrefix = "Parry"
)

// platforms are those of Automation documents.
func platforms() []string { return []string{"Windows", "Linux", "MacOS"} }

// found is one version of a document, somebody's or the catalog's.
type found struct {
	runbook.Stored
	catalog bool
}

// DocumentName gives the name of a document that is named by itself or by its
// ARN, in whatever account: documents belong to the installation.
func DocumentName(text string) string {
	if !strings.HasPrefix(text, "arn:") {
		return text
	}
	parts := strings.SplitN(text, ":", 6)
	if len(parts) != 6 || parts[2] != Service {
		return text
	}
	for _, kind := range []string{"document/", "automation-definition/"} {
		if name, ok := strings.CutPrefix(parts[5], kind); ok {
			name, _, _ = strings.Cut(name, ":")
			return name
		}
	}
	return text
}

// document finds a version of a document: "" is the default, and a version name
// names one too.
func (h *Handler) document(ctx context.Context, name, version, versionName string) (found, error) {
	name = DocumentName(name)
	if d, ok := h.catalogDocument(name); ok {
		if version != "" && version != "$DEFAULT" && version != "$LATEST" && version != "1" || versionName != "" {
			return found{}, noVersion(name, version+versionName)
		}
		return d, nil
	}
	if versionName != "" {
		n, err := h.versionNamed(ctx, name, versionName)
		if err != nil {
			return found{}, err
		}
		version = strconv.Itoa(n)
	}
	n, err := versionNumber(version)
	if err != nil {
		return found{}, noVersion(name, version)
	}
	d, err := h.cfg.Documents.Document(ctx, name, n)
	if fault.Is(err, fault.NotFound) {
		return found{}, h.missing(ctx, name, version)
	}
	return found{Stored: d}, err
}

// Has reports whether Parry has a document of that name or ARN.
func (h *Handler) Has(ctx context.Context, name string) (bool, error) {
	_, err := h.document(ctx, name, "", "")
	if err != nil && ErrorOf(err).Code == "InvalidDocument" {
		return false, nil
	}
	return err == nil, err
}

// missing tells a document that is not there from a version that is not.
func (h *Handler) missing(ctx context.Context, name, version string) error {
	if _, err := h.cfg.Documents.Document(ctx, name, runbook.DefaultVersion); err == nil {
		return noVersion(name, version)
	} else if !fault.Is(err, fault.NotFound) {
		return err
	}
	return noDocument(name)
}

func noDocument(name string) error {
	return refuse("InvalidDocument", "Document with name %s does not exist.", protocol.Clip(name))
}

func noVersion(name, version string) error {
	return refuse("InvalidDocumentVersion", "Document %s has no version %s.", protocol.Clip(name), protocol.Clip(version))
}

func versionNumber(text string) (int, error) {
	switch text {
	case "", "$DEFAULT":
		return runbook.DefaultVersion, nil
	case "$LATEST":
		return runbook.LatestVersion, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return 0, errors.New("not a version")
	}
	return int(n), nil
}

// versionNamed gives the version with a name.
func (h *Handler) versionNamed(ctx context.Context, document, name string) (int, error) {
	n := 0
	err := h.eachVersion(ctx, document, func(v runbook.Stored) bool {
		if v.VersionName == name {
			n = v.Version
		}
		return n == 0
	})
	if err == nil && n == 0 {
		err = h.missing(ctx, document, name)
	}
	return n, err
}

// eachVersion visits the versions of a document, the latest first, while visit
// says so.
func (h *Handler) eachVersion(ctx context.Context, document string, visit func(runbook.Stored) bool) error {
	const page = 200
	for before := 0; ; {
		all, err := h.cfg.Documents.DocumentVersions(ctx, document, before, page)
		if err != nil {
			return err
		}
		for _, v := range all {
			if !visit(v) {
				return nil
			}
		}
		if len(all) < page {
			return nil
		}
		before = all[len(all)-1].Version
	}
}

// catalogDocument gives a document that comes with Parry, as version 1.
func (h *Handler) catalogDocument(name string) (found, bool) {
	pinned, doc, ok := h.cfg.Catalog.Runbook(name)
	if !ok {
		return found{}, false
	}
	return found{Stored: runbook.Stored{
		Name: name, Version: 1, Default: 1, Latest: 1, Format: formatYAML, Content: pinned.Content, Revision: pinned.Revision,
		Description: doc.Description, SchemaVersion: doc.SchemaVersion, CreatedBy: catalogOwner, Attachments: doc.Files,
	}, catalog: true}, true
}

// owner is who owns d, in the words of the API.
func (h *Handler) owner(d found) string {
	if d.catalog {
		return catalogOwner
	}
	return h.cfg.Account
}

// parsedDocuments keeps the latest parsed documents by their revision: clients
// poll, and a document that is looked at once is looked at again.
type parsedDocuments struct {
	mu    sync.Mutex
	order *list.List // of *parsedDocument, the latest used first
	byRev map[string]*list.Element
}

type parsedDocument struct {
	revision string
	doc      *runbook.Document
}

// maxParsed bounds how many are kept.
const maxParsed = 32

func newParsedDocuments() *parsedDocuments {
	return &parsedDocuments{order: list.New(), byRev: map[string]*list.Element{}}
}

// parse gives the document of content.
func (p *parsedDocuments) parse(content string) (*runbook.Document, error) {
	revision := runbook.Revision([]byte(content))
	p.mu.Lock()
	if e, ok := p.byRev[revision]; ok {
		p.order.MoveToFront(e)
		p.mu.Unlock()
		return e.Value.(*parsedDocument).doc, nil // only parse puts values in
	}
	p.mu.Unlock()
	doc, err := runbook.Parse([]byte(content))
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.byRev[revision]; !ok {
		p.byRev[revision] = p.order.PushFront(&parsedDocument{revision, doc})
		if p.order.Len() > maxParsed {
			last := p.order.Back()
			delete(p.byRev, p.order.Remove(last).(*parsedDocument).revision)
		}
	}
	return doc, nil
}

// tag is a tag as the API has it.
type tag struct {
	Key   string `json:"Key"`
	Value string `json:"Value"`
}

func tagsOf(m map[string]string) []tag {
	out := make([]tag, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, tag{k, m[k]})
	}
	return out
}
