package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
)

func (s *shared) orgCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "org", Short: "See the organization's accounts and what of them is covered",
		Long: "Shows the accounts of the organization, what happened to them, and what Parry can see and do in each: whether the member role\n" +
			"can be taken, and when sources last brought something. AWS Organizations is read where organization.sync.enabled is set.",
	}
	c.AddCommand(s.orgListCommand(), s.orgShowCommand(), s.orgSyncCommand(), s.orgCoverageCommand(), s.orgConnectCommand())
	return c
}

func (s *shared) orgListCommand() *cobra.Command {
	var state, unit string
	var limit int
	c := &cobra.Command{
		Use: "list", Short: "List the accounts with unit, state and coverage, by id", Args: cobra.NoArgs,
		Example: "  parry org list --unit prod\n  parry org list --state SUSPENDED -o csv",
		RunE: func(cmd *cobra.Command, _ []string) error {
			states := []string{"LISTED"}
			for _, v := range org.States() {
				states = append(states, string(v))
			}
			if err := errors.Join(checkLimit(limit), oneOf("--state", &state, states...)); err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			items, err := all(cmd.Context(), limit, func(ctx context.Context, p client.Paging) (api.Page[api.OrgAccount], error) {
				return c.OrgAccounts(ctx, state, unit, p)
			})
			if err != nil {
				return err
			}
			o, err := c.Organization(cmd.Context())
			if err != nil {
				return err
			}
			err = s.print(s.Out, items, func() grid {
				g := grid{header: []string{"Account", "Name", "Unit", "State", "Coverage", "Tags"}}
				for _, v := range items {
					g.rows = append(g.rows, []string{v.ID, v.Name, v.Unit, v.State, cmp.Or(string(v.Coverage), "-"), tagsText(v)})
				}
				return g
			})
			s.organizationNotes(o)
			return err
		},
	}
	c.Flags().StringVar(&state, "state", "", "only ACTIVE, PENDING_ACTIVATION, SUSPENDED, PENDING_CLOSURE, CLOSED, LEFT, or LISTED (in parry.yaml alone)")
	c.Flags().StringVar(&unit, "unit", "", "only of this organizational unit, by path or id, and those below it")
	c.Flags().IntVar(&limit, "limit", 1000, fmt.Sprintf("how many to list, at most %d", maxItems))
	return c
}

// tagsText shows the tags of an account.
func tagsText(a api.OrgAccount) string {
	if a.TagsUnknown {
		return "not read yet"
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(a.Tags)) {
		parts = append(parts, k+"="+a.Tags[k])
	}
	return short(strings.Join(parts, ", "), 60)
}

// organizationNotes says on stderr how fresh the list is, and what is wrong.
func (s *shared) organizationNotes(o api.Organization) {
	switch {
	case !o.Followed:
		fmt.Fprintln(s.Err, "The accounts are those of parry.yaml: set organization.sync.enabled to follow AWS Organizations.")
	case o.SyncedAt.IsZero():
		fmt.Fprintln(s.Err, "AWS Organizations was not read yet.")
	default:
		fmt.Fprintf(s.Err, "Organization %s as of %s: %s.\n", printable(o.ID), moment(o.SyncedAt), counted(o.Accounts))
	}
	if o.Problem != "" {
		fmt.Fprintf(s.Err, "The reading of %s went wrong: %s\n", moment(o.ProblemAt), printable(o.Problem))
		if o.Hint != "" {
			fmt.Fprintf(s.Err, "  next: %s\n", printable(o.Hint))
		}
	}
}

// counted shows counters, the largest first.
func counted(counts map[string]int64) string {
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	var parts []string
	for _, k := range keys {
		parts = append(parts, fmt.Sprintf("%d %s", counts[k], k))
	}
	return cmp.Or(strings.Join(parts, ", "), "nothing")
}

func (s *shared) orgShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ACCOUNT", Short: "Show an account: units, tags, coverage, sources, and what happened to it", Args: cobra.ExactArgs(1),
		Example: "  parry org show 111122223333",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			d, err := c.OrgAccount(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return s.print(s.Out, d, func() grid { return orgGrid(d) })
		},
	}
}

func orgGrid(d api.OrgAccountDetail) grid {
	g := grid{header: []string{"Member", "Value"}, pairs: true}
	add := func(name, value string) {
		if value != "" {
			g.rows = append(g.rows, []string{name, value})
		}
	}
	add("Account", d.ID)
	add("Name", d.Name)
	add("State", d.State)
	add("Unit", d.Unit)
	add("Unit ids", strings.Join(d.UnitIDs, " / "))
	add("Tags", tagsText(d.OrgAccount))
	add("In parry.yaml", yesNo(d.Listed))
	add("Joined", moment(d.Joined))
	add("First seen", moment(d.FirstSeen))
	add("Left", moment(d.LastSeen))
	for _, r := range d.Regions {
		text := fmt.Sprintf("%s since %s", r.State, moment(r.Since))
		if r.Detail != "" {
			text += ": " + r.Detail
		}
		if r.Next != "" {
			text += " Next: " + r.Next
		}
		add(r.Region, text)
	}
	for _, x := range d.Sources {
		add("Last from "+x.Source, moment(x.At)+" ("+x.Region+")")
	}
	for _, h := range d.History {
		add(moment(h.At), changeText(h))
	}
	return g
}

// changeText says in words what happened.
func changeText(h api.AccountChange) string {
	switch h.Kind {
	case org.HasJoined:
		return "joined, in unit " + h.After
	case org.HasLeft:
		return "left the organization, was " + h.Before
	}
	return fmt.Sprintf("%s: %s -> %s", h.Kind, cmp.Or(h.Before, "(none)"), cmp.Or(h.After, "(none)"))
}

const (
	// syncPatience is how long a reading is waited for: a large organization takes
	// minutes.
	syncPatience = 30 * time.Minute
	syncPoll     = time.Second
)

func (s *shared) orgSyncCommand() *cobra.Command {
	var accept, leave bool
	c := &cobra.Command{
		Use: "sync", Short: "Read AWS Organizations and find out coverage now", Args: cobra.NoArgs,
		Long: "Has the server read all units and accounts and try the member role of each, and waits for it. A reading in which more than a\n" +
			"fifth of the accounts, and more than ten, are missing is not taken over; --accept-removals, which is for administrators, takes\n" +
			"them for gone. Exits 3 when the reading was not taken over or coverage is lost.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			asked, err := c.SyncOrganization(cmd.Context(), accept)
			if err != nil {
				return err
			}
			if leave {
				fmt.Fprintln(s.Err, "Asked for; see: parry org list")
				return nil
			}
			o, err := waitForSync(cmd.Context(), c, asked.Attempt)
			if err != nil {
				return err
			}
			return s.synced(o)
		},
	}
	c.Flags().BoolVar(&accept, "accept-removals", false, "take accounts that AWS no longer has for gone, however many they are")
	c.Flags().BoolVar(&leave, "no-wait", false, "do not wait for it")
	return c
}

func waitForSync(ctx context.Context, c *client.Client, attempt int64) (api.Organization, error) {
	ctx, cancel := context.WithTimeout(ctx, syncPatience)
	defer cancel()
	every := time.NewTicker(syncPoll)
	defer every.Stop()
	for {
		o, err := c.Organization(ctx)
		if err != nil || o.Attempts >= attempt {
			return o, err
		}
		select {
		case <-ctx.Done():
			return o, fault.E(fault.Unavailable, "wait for the reading", ctx.Err()).WithHint("it goes on: parry org list says when it is there")
		case <-every.C:
		}
	}
}

func (s *shared) synced(o api.Organization) error {
	err := s.print(s.Out, o, func() grid {
		g := grid{header: []string{"Member", "Value"}, pairs: true}
		add := func(name, value string) {
			if value != "" {
				g.rows = append(g.rows, []string{name, value})
			}
		}
		if o.Followed {
			add("Organization", o.ID)
			add("Read", cmp.Or(moment(o.SyncedAt), "never"))
		}
		add("Accounts", counted(o.Accounts))
		add("Regions", counted(o.Coverage))
		add("Went wrong", o.Problem)
		add("Missing", short(strings.Join(o.Held, ", "), 400))
		add("Next", o.Hint)
		return g
	})
	if err == nil && (o.Problem != "" || o.Coverage[string(org.Lost)]+o.Coverage[string(org.Never)] > 0) {
		return exit(ExitFailing, nil)
	}
	return err
}

func (s *shared) orgCoverageCommand() *cobra.Command {
	var f client.CoverageFilter
	var limit int
	c := &cobra.Command{
		Use: "coverage", Short: "List what Parry can see and do in regions of accounts, what is lost first", Args: cobra.NoArgs,
		Long: "Lists for each region of each account whether the member role can be taken and sources bring what they should: covered; degraded\n" +
			"(a source fails or is silent, or the account does not say whether the region is on); lost (the role could be taken and no longer\n" +
			"can); never (it could not be taken yet); off (the region is turned off in the account). Exits 3 when one of those listed is lost or\n" +
			"never was covered; accounts that are suspended or closed do not count, nor regions that are off.",
		Example: "  parry org coverage --state lost\n  parry org coverage --account 111122223333 -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(checkLimit(limit), oneOf("--state", &f.State, coverageStates()...)); err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			items, err := all(cmd.Context(), limit, func(ctx context.Context, p client.Paging) (api.Page[api.CoverageRegion], error) {
				return c.Coverage(ctx, f, p)
			})
			if err != nil {
				return err
			}
			err = s.print(s.Out, items, func() grid {
				g := grid{header: []string{"Account", "Name", "Region", "State", "Since", "Why", "Next"}}
				for _, v := range items {
					g.rows = append(g.rows, []string{v.Account, v.Name, v.Region, string(v.State), moment(v.Since), whyText(v), v.Next})
				}
				return g
			})
			if err != nil {
				return err
			}
			if slices.ContainsFunc(items, func(v api.CoverageRegion) bool {
				return (v.State == org.Lost || v.State == org.Never) && v.Reason != org.ReachState
			}) {
				return exit(ExitFailing, nil)
			}
			return nil
		},
	}
	c.Flags().StringVar(&f.Account, "account", "", "only of this account")
	c.Flags().StringVar(&f.Region, "region", "", "only of this region")
	c.Flags().StringVar(&f.State, "state", "", "only covered, degraded, lost, never or off")
	c.Flags().IntVar(&limit, "limit", 1000, fmt.Sprintf("how many to list, at most %d", maxItems))
	return c
}

func coverageStates() []string {
	var out []string
	for _, s := range org.CoverageStates() {
		out = append(out, string(s))
	}
	return out
}

// whyText says in a few words why a region is not covered.
func whyText(v api.CoverageRegion) string {
	switch v.Reason {
	case org.ReachOK:
		return ""
	case org.ReachRole:
		return "the role is missing or does not trust Parry"
	case org.ReachPolicy:
		return "a policy of the organization denies the role"
	case org.ReachOwn:
		return "Parry's principal may not assume the role"
	}
	return short(v.Detail, 80)
}
