package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// keyView is a key as it is shown: the secret once, when it is made.
type keyView struct {
	AccessKeyID     string    `json:"access_key_id"`
	SecretAccessKey string    `json:"secret_access_key,omitempty"`
	Name            string    `json:"name"`
	Principal       string    `json:"principal"`
	Roles           []string  `json:"roles"`
	Accounts        []string  `json:"accounts"`
	Products        []string  `json:"products,omitempty"`
	Trusted         bool      `json:"trusted"`
	CreatedAt       time.Time `json:"created_at"`
	RevokedAt       time.Time `json:"revoked_at,omitzero"`
}

func viewKey(k store.Key) keyView {
	return keyView{
		AccessKeyID: k.AccessKeyID, Name: k.Name, Principal: k.Principal, Roles: k.Roles, Accounts: k.Accounts,
		Products: k.Products, Trusted: k.Trusted, CreatedAt: k.CreatedAt, RevokedAt: k.RevokedAt,
	}
}

func (s *shared) keyCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "key", Short: "Issue and revoke the access keys of this installation",
		Long: "Works on the installation's own database, so it needs the data directory and no server: whoever holds the data key\n" +
			"is the administrator.",
	}
	c.AddCommand(s.keyCreateCommand(), s.keyListCommand(), s.keyRevokeCommand())
	return c
}

// withStore runs fn on the installation's database.
func (s *shared) withStore(ctx context.Context, fn func(*store.Store) error) error {
	cfg, err := config.Optional(s.config)
	if err != nil {
		return err
	}
	db, _, err := app.OpenStore(ctx, cfg, service.SystemClock{})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return fn(db)
}

// withInstallation is withStore for what makes no sense in a new installation:
// in the wrong directory it says so instead of making one.
func (s *shared) withInstallation(ctx context.Context, fn func(*store.Store) error) error {
	cfg, err := config.Optional(s.config)
	if err != nil {
		return err
	}
	if _, err := os.Stat(cfg.DataDir); errors.Is(err, fs.ErrNotExist) {
		return fault.Errorf(fault.NotFound, "", "there is no installation here: data directory %s does not exist", cfg.DataDir).
			WithHint("name its configuration with --config, or its directory with PARRY_DATA_DIR; parry key create begins a new one")
	}
	return s.withStore(ctx, fn)
}

func (s *shared) keyCreateCommand() *cobra.Command {
	var g auth.Grant
	c := &cobra.Command{
		Use: "create NAME", Short: "Issue a key; its secret is shown once",
		Example: "  parry key create security-hub --role source --account '*' --product aws/securityhub --trusted\n" +
			"  parry key create alice --role approver --account 111122223333",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			g.Name = args[0]
			// Before the store is opened: a typing error makes no data directory.
			key, err := auth.NewKey(g, rand.Reader, service.SystemClock{}.Now())
			switch {
			case fault.Is(err, fault.Invalid):
				return exit(ExitUsage, err)
			case err != nil:
				return err
			}
			return s.withStore(cmd.Context(), func(db *store.Store) error {
				detail, err := json.Marshal(map[string]any{"name": key.Name, "roles": key.Roles, "accounts": key.Accounts, "trusted": key.Trusted})
				if err != nil {
					return err
				}
				audit := store.AuditRecord{At: key.CreatedAt, Actor: hostUser(), Action: "key.created", Object: key.AccessKeyID, Detail: detail}
				if err := db.PutKey(cmd.Context(), key, store.Effects{Audit: []store.AuditRecord{audit}}); err != nil {
					return err
				}
				view := viewKey(key)
				view.SecretAccessKey = key.Secret.Reveal()
				if s.format == "table" && s.query == "" {
					fmt.Fprintln(s.Err, "Keep the secret now: it is not shown again.")
				}
				return s.print(s.Out, view, func() grid { return newKeyGrid(view) })
			})
		},
	}
	c.Flags().StringVar(&g.Principal, "principal", "", "person or program that the key stands for (default: NAME)")
	c.Flags().StringSliceVar(&g.Roles, "role", nil, "admin, operator, approver, reader or source; may be repeated")
	c.Flags().StringSliceVar(&g.Accounts, "account", nil, "account it may speak for, * for all; may be repeated")
	c.Flags().StringSliceVar(&g.Products, "product", nil, "product it may report findings as (ARN or company/product); may be repeated")
	c.Flags().BoolVar(&g.Trusted, "trusted", false, "its findings may start automatic remediation")
	return c
}

func newKeyGrid(v keyView) grid {
	return grid{header: []string{"Member", "Value"}, pairs: true, rows: [][]string{
		{"Access key id", v.AccessKeyID},
		{"Secret access key", v.SecretAccessKey},
		{"Name", v.Name},
		{"Principal", v.Principal},
		{"Roles", strings.Join(v.Roles, " ")},
		{"Accounts", strings.Join(v.Accounts, " ")},
		{"Products", strings.Join(v.Products, " ")},
		{"Trusted", yesNo(v.Trusted)},
	}}
}

func (s *shared) keyListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the keys, without their secrets", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.withInstallation(cmd.Context(), func(db *store.Store) error {
				keys, err := db.ListKeys(cmd.Context())
				if err != nil {
					return err
				}
				views := make([]keyView, 0, len(keys))
				for _, k := range keys {
					views = append(views, viewKey(k))
				}
				return s.print(s.Out, views, func() grid {
					g := grid{header: []string{"Access key id", "Name", "Principal", "Roles", "Accounts", "Products", "Trusted", "Created", "Revoked"}}
					for _, v := range views {
						g.rows = append(g.rows, []string{
							v.AccessKeyID, v.Name, v.Principal, strings.Join(v.Roles, " "), few(v.Accounts), few(v.Products),
							yesNo(v.Trusted), moment(v.CreatedAt), moment(v.RevokedAt),
						})
					}
					return g
				})
			})
		},
	}
}

func (s *shared) keyRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "revoke ACCESS_KEY_ID", Short: "Revoke a key at once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withInstallation(cmd.Context(), func(db *store.Store) error {
				audit := store.AuditRecord{At: db.Clock().Now(), Actor: hostUser(), Action: "key.revoked", Object: args[0]}
				err := db.RevokeKey(cmd.Context(), args[0], store.Effects{Audit: []store.AuditRecord{audit}})
				if fault.Is(err, fault.NotFound) {
					return fault.Errorf(fault.NotFound, "", "there is no key %q", args[0]).WithHint("run: parry key list")
				}
				if err != nil {
					return err
				}
				fmt.Fprintf(s.Err, "%s is revoked\n", printable(args[0]))
				return nil
			})
		},
	}
}

// few lists the first of many: a key may have thousands of accounts.
func few(list []string) string {
	const most = 4
	if len(list) <= most {
		return strings.Join(list, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], " "), len(list)-most)
}

// hostUser names the person at the terminal for the audit log.
func hostUser() string {
	u, err := user.Current()
	if err != nil {
		return "host"
	}
	return "host/" + u.Username
}

// moment prints a time for people; the zero time prints as nothing.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}
