package ssm

import (
	"bytes"
	"context"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

// description is DocumentDescription.
type description struct {
	Hash                   string           `json:"Hash"`
	HashType               string           `json:"HashType"`
	Name                   string           `json:"Name"`
	DisplayName            string           `json:"DisplayName,omitempty"`
	VersionName            string           `json:"VersionName,omitempty"`
	Owner                  string           `json:"Owner"`
	CreatedDate            timestamp        `json:"CreatedDate,omitzero"`
	Status                 string           `json:"Status"`
	DocumentVersion        string           `json:"DocumentVersion"`
	Description            string           `json:"Description,omitempty"`
	Parameters             []parameter      `json:"Parameters,omitempty"`
	PlatformTypes          []string         `json:"PlatformTypes"`
	DocumentType           string           `json:"DocumentType"`
	SchemaVersion          string           `json:"SchemaVersion"`
	LatestVersion          string           `json:"LatestVersion"`
	DefaultVersion         string           `json:"DefaultVersion"`
	DocumentFormat         string           `json:"DocumentFormat"`
	TargetType             string           `json:"TargetType,omitempty"`
	Tags                   []tag            `json:"Tags,omitempty"`
	AttachmentsInformation []attachmentName `json:"AttachmentsInformation,omitempty"`
	Author                 string           `json:"Author,omitempty"`
}

// parameter is DocumentParameter. The API knows two types only, as AWS's does
// for Automation documents: lists and everything else.
type parameter struct {
	Name         string `json:"Name"`
	Type         string `json:"Type"`
	Description  string `json:"Description,omitempty"`
	DefaultValue string `json:"DefaultValue,omitempty"`
}

type attachmentName struct {
	Name string `json:"Name"`
}

func (h *Handler) describe(d found) (description, error) {
	doc, err := h.parsed.parse(d.Content)
	if err != nil {
		// It was checked when it was stored.
		return description{}, fault.E(fault.Internal, "read document "+d.Name, err)
	}
	out := description{
		Hash: d.Revision, HashType: "Sha256", Name: d.Name, DisplayName: d.DisplayName, VersionName: d.VersionName, Owner: h.owner(d),
		CreatedDate: timestamp(d.CreatedAt), Status: "Active", DocumentVersion: strconv.Itoa(d.Version), Description: d.Description,
		PlatformTypes: platforms(), DocumentType: documentType, SchemaVersion: d.SchemaVersion, LatestVersion: strconv.Itoa(d.Latest),
		DefaultVersion: strconv.Itoa(d.Default), DocumentFormat: d.Format, TargetType: d.TargetType, Tags: tagsOf(d.Tags), Author: d.CreatedBy,
	}
	for _, p := range doc.Parameters {
		item := parameter{Name: p.Name, Type: "String", Description: p.Description}
		if p.Type == runbook.TypeStringList {
			item.Type = "StringList"
		}
		if p.HasDefault {
			if item.DefaultValue, err = runbook.Text(p.Default); err != nil {
				return description{}, fault.E(fault.Internal, "read document "+d.Name, err)
			}
		}
		out.Parameters = append(out.Parameters, item)
	}
	for _, f := range d.Attachments {
		out.AttachmentsInformation = append(out.AttachmentsInformation, attachmentName{f.Name})
	}
	return out, nil
}

type documentInput struct {
	Name            string
	DocumentVersion string
	VersionName     string
	DocumentFormat  string
}

type describeDocumentOutput struct {
	Document description `json:"Document"`
}

func (h *Handler) describeDocument(ctx context.Context, _ Caller, in *documentInput) (any, error) {
	d, err := h.document(ctx, in.Name, in.DocumentVersion, in.VersionName)
	if err != nil {
		return nil, err
	}
	desc, err := h.describe(d)
	return describeDocumentOutput{desc}, err
}

type getDocumentOutput struct {
	Name               string              `json:"Name"`
	CreatedDate        timestamp           `json:"CreatedDate,omitzero"`
	DisplayName        string              `json:"DisplayName,omitempty"`
	VersionName        string              `json:"VersionName,omitempty"`
	DocumentVersion    string              `json:"DocumentVersion"`
	Status             string              `json:"Status"`
	Content            string              `json:"Content"`
	DocumentType       string              `json:"DocumentType"`
	DocumentFormat     string              `json:"DocumentFormat"`
	AttachmentsContent []attachmentContent `json:"AttachmentsContent,omitempty"`
}

// attachmentContent says what is attached. AWS gives a presigned URL beside it;
// Parry gives the content by its own API.
type attachmentContent struct {
	Name     string `json:"Name"`
	Size     int64  `json:"Size,omitempty"`
	Hash     string `json:"Hash"`
	HashType string `json:"HashType"`
}

func (h *Handler) getDocument(ctx context.Context, _ Caller, in *documentInput) (any, error) {
	d, err := h.document(ctx, in.Name, in.DocumentVersion, in.VersionName)
	if err != nil {
		return nil, err
	}
	out := getDocumentOutput{
		Name: d.Name, CreatedDate: timestamp(d.CreatedAt), DisplayName: d.DisplayName, VersionName: d.VersionName, DocumentVersion: strconv.Itoa(d.Version),
		Status: "Active", Content: d.Content, DocumentType: documentType, DocumentFormat: d.Format,
	}
	// AWS gives JSON unless YAML is asked for; the text as it was written is worth
	// more, so without a format it stays as it is.
	if in.DocumentFormat != "" && in.DocumentFormat != d.Format {
		if out.Content, err = h.convert(d, in.DocumentFormat); err != nil {
			return nil, err
		}
		out.DocumentFormat = in.DocumentFormat
	}
	for _, f := range d.Attachments {
		out.AttachmentsContent = append(out.AttachmentsContent, attachmentContent{Name: f.Name, Size: f.Size, Hash: f.SHA256, HashType: "Sha256"})
	}
	return out, nil
}

// convert gives the text of d in another notation.
func (h *Handler) convert(d found, format string) (string, error) {
	switch format {
	case formatJSON:
		doc, err := h.parsed.parse(d.Content)
		if err != nil {
			return "", fault.E(fault.Internal, "read document "+d.Name, err)
		}
		raw, err := doc.JSON()
		return string(raw), err
	case formatYAML:
		return jsonToYAML(d.Content)
	}
	return "", refuse("InvalidDocument", "An Automation document has the formats YAML and JSON, not %s.", format)
}

// jsonToYAML keeps the order of keys, which a map would lose.
func jsonToYAML(text string) (string, error) {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		return "", fault.E(fault.Internal, "convert document", err)
	}
	block(&n)
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&n); err != nil {
		return "", fault.E(fault.Internal, "convert document", err)
	}
	return b.String(), nil
}

// block takes JSON's notation off n. Texts stay quoted, so that "0.3" and "true"
// stay texts.
func block(n *yaml.Node) {
	if n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode {
		n.Style = 0
	}
	for _, child := range n.Content {
		block(child)
	}
}
