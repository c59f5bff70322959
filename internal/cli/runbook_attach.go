package cli

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
)

func (s *shared) runbookAttachCommand() *cobra.Command {
	var version string
	c := &cobra.Command{
		Use: "attach NAME FILE...", Short: "Upload the files that a document of the server declares",
		Long: "Uploads files that document NAME declares under files:, each by its base name. The content has to have the checksum\n" +
			"that the document declares. AWS fetches attachments from S3; Parry takes them by its own API, at most 1 MiB each.",
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			out := make([]api.Attached, 0, len(args)-1)
			for _, path := range args[1:] {
				content, err := s.readInput("@"+path, api.MaxBody)
				if err != nil {
					return err
				}
				f, err := c.Attach(cmd.Context(), args[0], version, filepath.Base(path), content)
				if err != nil {
					return err
				}
				out = append(out, f)
			}
			return s.print(s.Out, out, func() grid {
				g := grid{header: []string{"File", "Bytes", "SHA-256"}}
				for _, f := range out {
					g.rows = append(g.rows, []string{f.Name, fmt.Sprint(f.Size), f.SHA256})
				}
				return g
			})
		},
	}
	c.Flags().StringVar(&version, "document-version", "", "a number, $DEFAULT or $LATEST (default: $LATEST)")
	return c
}
