package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/ingest/file"
)

// The size of one request: what the server takes, with room for quotes.
const (
	importDocuments = 200
	importBytes     = 400 << 10
)

// imported is what came of one file.
type imported struct {
	File      string `json:"file"`
	Documents int    `json:"documents"`
	Accepted  int    `json:"accepted"`
	Rejected  int    `json:"rejected"`
}

// rejectedLine is one line of the file of --rejected.
type rejectedLine struct {
	File   string `json:"file"`
	Place  string `json:"place"`
	ID     string `json:"id,omitempty"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
	Text   string `json:"text,omitempty"`
}

func (s *shared) findingImportCommand() *cobra.Command {
	var rejected string
	c := &cobra.Command{
		Use: "import FILE...", Short: "Import findings from files of JSON or JSON lines, compressed or not", Args: cobra.MinimumNArgs(1),
		Long: "Reads findings in ASFF and OCSF (Prowler writes both), events of EventBridge and findings of GuardDuty from files: one document, a list,\n" +
			"the output of get-findings, or one document a line; with gzip or not; - is standard input. The key must be allowed to report for the\n" +
			"accounts and products of the findings. What is refused is listed with its place and reason, and kept: parry source rejected.\n" +
			"Exits 4 when some were refused, 1 when all were.",
		Example: "  parry finding import prowler-output.asff.json\n  gzip -dc findings.jsonl.gz | parry finding import - --rejected rejected.jsonl",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			c, err := s.client()
			if err != nil {
				return err
			}
			im := &importing{s: s, client: c}
			if rejected != "" {
				f, err := os.OpenFile(filepath.Clean(rejected), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, f.Close()) }()
				im.rejected = json.NewEncoder(f)
			}
			var results []imported
			for _, name := range args {
				result, err := im.file(cmd.Context(), name)
				results = append(results, result)
				if err != nil {
					return errors.Join(s.printImported(results), fmt.Errorf("%s, after %d accepted: %w", name, result.Accepted, err))
				}
			}
			if err := s.printImported(results); err != nil {
				return err
			}
			return importOutcome(results)
		},
	}
	c.Flags().StringVar(&rejected, "rejected", "", "write what was refused to this `file`, as JSON lines with place, reason and text")
	return c
}

// importOutcome is the exit code of all files together.
func importOutcome(results []imported) error {
	accepted, refused := 0, 0
	for _, r := range results {
		accepted, refused = accepted+r.Accepted, refused+r.Rejected
	}
	switch {
	case refused == 0:
		return nil
	case accepted == 0:
		return exit(ExitError, nil)
	}
	return exit(ExitPartly, nil)
}

func (s *shared) printImported(results []imported) error {
	return s.print(s.Out, results, func() grid {
		g := grid{header: []string{"File", "Documents", "Accepted", "Rejected"}}
		for _, r := range results {
			g.rows = append(g.rows, []string{r.File, fmt.Sprint(r.Documents), fmt.Sprint(r.Accepted), fmt.Sprint(r.Rejected)})
		}
		return g
	})
}

// importing sends files in requests of a bounded size.
type importing struct {
	s        *shared
	client   *client.Client
	rejected *json.Encoder
	shown    int
}

// maxShown bounds the refusals that are printed; all are kept by the server.
const maxShown = 20

func (im *importing) file(ctx context.Context, name string) (imported, error) {
	result := imported{File: name}
	in := im.s.In
	if name != "-" {
		f, err := os.Open(filepath.Clean(name))
		if err != nil {
			return result, err
		}
		defer func() { _ = f.Close() }() // it is only read
		in = f
	}
	var batch []api.ImportDocument
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		got, err := im.client.Import(ctx, batch)
		if err != nil {
			return err
		}
		result.Accepted += got.Accepted
		result.Rejected += len(got.Rejected)
		for _, r := range got.Rejected {
			if err := im.refused(name, rejectedLine{File: name, Place: r.Place, ID: r.ID, Code: r.Code, Reason: r.Reason, Text: textAt(batch, r.Index)}); err != nil {
				return err
			}
		}
		batch, size = batch[:0], 0
		return nil
	}
	err := file.Each(in, func(d file.Document) error {
		result.Documents++
		place := fmt.Sprintf("%s:%d", filepath.Base(name), d.Line)
		if d.Problem != "" {
			result.Rejected++
			return im.refused(name, rejectedLine{File: name, Place: place, Code: "InvalidInput", Reason: d.Problem})
		}
		if len(batch) == importDocuments || size+len(d.Text) > importBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		batch, size = append(batch, api.ImportDocument{Text: string(d.Text), Place: place}), size+len(d.Text)
		return nil
	})
	return result, errors.Join(err, flush())
}

func textAt(batch []api.ImportDocument, i int) string {
	if i < 0 || i >= len(batch) {
		return ""
	}
	return batch[i].Text
}

func (im *importing) refused(name string, r rejectedLine) error {
	switch im.shown++; {
	case im.shown <= maxShown:
		fmt.Fprintf(im.s.Err, "%s: %s\n", oneLine(r.Place), short(oneLine(r.Reason), 300))
	case im.shown == maxShown+1:
		fmt.Fprintf(im.s.Err, "%s: more were refused; next: parry source rejected\n", name)
	}
	if im.rejected == nil {
		return nil
	}
	return im.rejected.Encode(r)
}
