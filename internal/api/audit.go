package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/store"
)

type auditOutput struct{ Body AuditReport }

type exportInput struct {
	After int64 `query:"after" minimum:"0" doc:"Index of the entry to go on after."`
}

const (
	// exportBatch is how many entries are read at a time.
	exportBatch = 500
	// exportPatience is how long a client may take for one batch.
	exportPatience = 60 * time.Second
)

func (a *API) registerAudit() {
	const tag = "audit"
	register(a, operation{id: "verify-audit", method: http.MethodGet, path: "/v1/audit/verify", summary: "Recompute the audit log's hash chain", tag: tag}, auth.AuditRead,
		func(ctx context.Context, p auth.Principal, _ *struct{}) (*auditOutput, error) {
			if err := auth.Authorize(p, auth.AuditRead, auth.All); err != nil {
				return nil, err
			}
			report, err := a.cfg.Audit.VerifyAudit(ctx)
			return &auditOutput{report}, err
		})
	register(a, operation{id: "export-audit", method: http.MethodGet, path: "/v1/audit/export", summary: "Export the audit log as JSON lines", tag: tag}, auth.AuditRead,
		func(ctx context.Context, p auth.Principal, in *exportInput) (*huma.StreamResponse, error) {
			if err := auth.Authorize(p, auth.AuditRead, auth.All); err != nil {
				return nil, err
			}
			// The first entries are read before the answer begins, so that a log
			// that cannot be read is an error and not an empty file.
			first, err := a.cfg.Audit.AuditEntries(ctx, in.After, exportBatch)
			if err != nil {
				return nil, err
			}
			return &huma.StreamResponse{Body: func(w huma.Context) { a.export(w, first) }}, nil
		})
}

// export writes entries and what follows them. An error on the way breaks the
// connection, so that a client cannot take a part for the whole.
func (a *API) export(w huma.Context, entries []store.AuditEntry) {
	w.SetHeader("Content-Type", "application/jsonl")
	w.SetStatus(http.StatusOK)
	ctx := w.Context()
	enc := json.NewEncoder(w.BodyWriter())
	enc.SetEscapeHTML(false)
	_, writer := humago.Unwrap(w)
	deadline := http.NewResponseController(writer)
	for len(entries) > 0 {
		// The server's limit is for one answer; an export may take longer as long
		// as it gets on. A writer without deadlines needs no longer one.
		_ = deadline.SetWriteDeadline(a.cfg.Clock.Now().Add(exportPatience))
		for _, e := range entries {
			if err := enc.Encode(lineOf(e)); err != nil {
				return // The client is gone.
			}
		}
		var err error
		if entries, err = a.cfg.Audit.AuditEntries(ctx, entries[len(entries)-1].Index, exportBatch); err != nil {
			a.log.ErrorContext(ctx, "audit export broken off", "error", err)
			panic(http.ErrAbortHandler)
		}
	}
}

func lineOf(e store.AuditEntry) AuditLine {
	return AuditLine{
		Index: e.Index, PrevHash: e.PrevHash, Hash: e.Hash, File: e.File, Seq: e.Seq,
		At: e.At, Actor: e.Actor, Action: e.Action, Object: e.Object, Detail: e.Detail,
	}
}
