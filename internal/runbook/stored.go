package runbook

import "time"

// Stored is one version of a document that somebody created, as it is kept.
// Documents belong to the installation, not to an account.
type Stored struct {
	Name        string `json:"name"`
	Version     int    `json:"version"` // from 1
	VersionName string `json:"version_name,omitempty"`
	DisplayName string `json:"display_name,omitempty"`
	TargetType  string `json:"target_type,omitempty"`
	// Format is the notation of Content: YAML or JSON.
	Format  string `json:"format"`
	Content string `json:"content"`
	// Revision is the SHA-256 of Content, in hexadecimal.
	Revision      string    `json:"revision"`
	Description   string    `json:"description,omitempty"`
	SchemaVersion string    `json:"schema_version"`
	CreatedBy     string    `json:"created_by"`
	CreatedAt     time.Time `json:"created_at"`
	// Attachments are the files that the version has; those that the content
	// declares and that are not here have not been uploaded.
	Attachments []File `json:"attachments,omitempty"`

	// What follows belongs to the document, not to the version.
	Default int               `json:"default"` // the version that is run unless one is named
	Latest  int               `json:"latest"`
	Tags    map[string]string `json:"tags,omitempty"`
}

// The versions of a document that are asked for by what they are.
const (
	DefaultVersion = 0
	LatestVersion  = -1
)
