package demo

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// What the story is about, by the keys of test/py/controls.py.
const (
	publicBucket = "web-prod/us-east-1/S3.8/bad"   // raised to CRITICAL, approved, fixed
	bastion      = "web-prod/us-east-1/EC2.13/bad" // the accepted risk
	remoteDesk   = "web-prod/eu-west-1/EC2.14/bad" // whose fix AWS denies
	openBucket   = "data-prod/eu-west-1/S3.3/bad"  // shown, approved, fixed, undone
	defaultGroup = "data-prod/us-east-1/EC2.2/bad"
	password     = "data-prod/us-east-1/IAM.7/bad" // by hand, on the command line
	accountBlock = "data-prod/us-east-1/S3.1/bad"  // by hand, in AWS's console
	rotation     = "data-prod/eu-west-1/KMS.4/bad"
	rotationTwin = "data-prod/eu-west-1/KMS.4/good"
)

// canaryKeys and followerKeys are the bad resources of dev: what is fixed first, and what
// waits for it.
var (
	canaryKeys   = []string{"web-dev/us-east-1/S3.2/bad", "web-dev/us-east-1/EC2.13/bad", "web-dev/eu-west-1/KMS.4/bad", "web-dev/eu-west-1/EC2.7/bad"}
	followerKeys = []string{"data-dev/eu-west-1/EC2.13/bad", "data-dev/us-east-1/KMS.4/bad", "data-dev/us-east-1/EC2.7/bad"}
	prodKeys     = []string{publicBucket, remoteDesk, openBucket, defaultGroup}
)

// acceptAndFreeze: olga asks for an exception, alice approves it, and the stop switch is
// put on before the first finding comes.
func (s *story) acceptAndFreeze(ctx context.Context) (string, error) {
	out, err := s.parry(ctx, "olga", "exception", "add", "--title", "Bastion of web-prod", "--owner", "team-web", "--reason", "reached from anywhere until the VPN is there",
		"--days", "30", "--control", "EC2.13", "--account", s.account(webProd), "-o", "json")
	if err != nil {
		return "", err
	}
	asked, err := decode[struct {
		ID        string    `json:"id"`
		ExpiresAt time.Time `json:"expires_at"`
	}](out)
	if err != nil {
		return "", err
	}
	s.exception = asked.ID
	if _, err := s.parry(ctx, "olga", "exception", "approve", asked.ID, "--yes"); err == nil {
		return "", fmt.Errorf("olga approved the exception that she asked for")
	}
	if _, err := s.parry(ctx, "alice", "exception", "approve", asked.ID, "--yes"); err != nil {
		return "", err
	}
	if _, err := s.parry(ctx, "olga", "stop", "on", "--reason", "change freeze until the findings are sorted"); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: the bastion's open port 22, owner team-web, until %s, asked by olga, approved by alice; the stop switch is on",
		asked.ID, asked.ExpiresAt.UTC().Format("2 January 2006")), nil
}

// findingsArrive: those of dev and the sandbox by the AWS CLI, those of prod by a queue in
// EventBridge's envelopes. There is one about each good twin too: a finding is a claim.
func (s *story) findingsArrive(ctx context.Context) (string, error) {
	s.findings, s.keyOf = map[string]findingRef{}, map[string]string{}
	file := filepath.Join(s.Dir, "findings.json")
	byAPI, err := s.reports(ctx, "write", "--unit", "dev", "sandbox", "--out", file)
	if err != nil {
		return "", err
	}
	out, err := s.aws(ctx, "security-hub", "securityhub", "batch-import-findings", "--findings", "file://"+file)
	if err != nil {
		return "", err
	}
	result, err := decode[struct{ SuccessCount, FailedCount int }](out)
	if err != nil {
		return "", err
	}
	if result.SuccessCount != byAPI || result.FailedCount != 0 {
		return "", fmt.Errorf("of %d findings %d were accepted: %s", byAPI, result.SuccessCount, out)
	}
	byQueue, err := s.reports(ctx, "send", "--unit", "prod")
	if err != nil {
		return "", err
	}
	err = s.poll(ctx, func(ctx context.Context) (string, error) {
		list, err := s.listed(ctx)
		if err != nil || len(list) == byAPI+byQueue {
			return "", err
		}
		return fmt.Sprintf("%d of %d findings are there", len(list), byAPI+byQueue), nil
	})
	return fmt.Sprintf("%d by aws securityhub batch-import-findings, %d from the queue as EventBridge brings them; %d of them about good twins: a finding is only a claim", byAPI, byQueue, s.good()), err
}

// good counts the good twins.
func (s *story) good() int {
	n := 0
	for _, r := range s.resources {
		if r.Good {
			n++
		}
	}
	return n
}

// reports runs test/py/reports.py, keeps what it reported, and says how much.
func (s *story) reports(ctx context.Context, command string, args ...string) (int, error) {
	out, err := s.env.Run(ctx, "reports.py", append([]string{command, s.env.EstateFile(), s.resourcesFile}, args...)...)
	if err != nil {
		return 0, err
	}
	sent, err := decode[map[string]findingRef](out)
	if err != nil {
		return 0, err
	}
	maps.Copy(s.findings, sent)
	for k, ref := range sent {
		s.keyOf[ref.ID] = k
	}
	return len(sent), nil
}

// listedFinding is what the story reads of parry finding list.
type listedFinding struct {
	ID        string `json:"id"`
	Severity  string `json:"severity"`
	Workflow  string `json:"workflow"`
	Priority  int    `json:"priority"`
	Exception string `json:"exception"`
}

// listed gives the findings by the keys of their resources.
func (s *story) listed(ctx context.Context) (map[string]listedFinding, error) {
	out, err := s.parry(ctx, "olga", "finding", "list", "--limit", "1000", "-o", "json")
	if err != nil {
		return nil, err
	}
	list, err := decode[[]listedFinding](out)
	if err != nil {
		return nil, err
	}
	by := map[string]listedFinding{}
	for _, f := range list {
		by[s.keyOf[f.ID]] = f
	}
	return by, nil
}

// sorted checks what rules, the exception and the score made of the findings, and shows
// the list that olga sees.
func (s *story) sorted(ctx context.Context) (string, error) {
	list, err := s.listed(ctx)
	if err != nil {
		return "", err
	}
	suppressed := 0
	for k, f := range list {
		r := s.resources[k]
		want := listedFinding{Workflow: "NEW"}
		switch {
		case slices.Contains(units["sandbox"], r.Member):
			want = listedFinding{Workflow: "SUPPRESSED"}
			suppressed++
		case k == bastion:
			want = listedFinding{Workflow: "SUPPRESSED", Exception: s.exception}
		}
		if f.Workflow != want.Workflow || f.Exception != want.Exception {
			return "", fmt.Errorf("%s is %s by %q, expected %s by %q", k, f.Workflow, f.Exception, want.Workflow, want.Exception)
		}
	}
	if got := [...]string{list[publicBucket].Severity, list[canaryKeys[1]].Severity, list[password].Severity}; got != [...]string{"CRITICAL", "HIGH", "MEDIUM"} {
		return "", fmt.Errorf("S3.8 in prod, EC2.13 in dev and IAM.7 in prod are %v", got)
	}
	if list[publicBucket].Priority <= list["web-dev/us-east-1/S3.2/bad"].Priority || list[bastion].Priority != 0 {
		return "", fmt.Errorf("priorities: prod %d, dev %d, excepted %d", list[publicBucket].Priority, list["web-dev/us-east-1/S3.2/bad"].Priority, list[bastion].Priority)
	}
	if err := s.showSorted(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d of the sandbox suppressed with a note, HIGH raised to CRITICAL in prod, the bastion suppressed by %s; the rest by priority", suppressed, s.exception), nil
}

// showSorted shows the head of the list, the reasons of its first finding, and why the
// bastion is suppressed.
func (s *story) showSorted(ctx context.Context) error {
	out, err := s.parry(ctx, "olga", "finding", "list", "--sort", "priority", "--workflow", "NEW", "--limit", "8")
	if err != nil {
		return err
	}
	s.show("parry finding list --sort priority --workflow NEW --limit 8", without(out, "TITLE", "WORKFLOW", "UPDATED", "ID"))
	for _, of := range []struct {
		key  string
		rows []string
	}{{publicBucket, []string{"Severity", "Priority", "Because", "Due", "Note"}}, {bastion, []string{"Workflow", "Exception"}}} {
		if out, err = s.parry(ctx, "olga", "finding", "show", s.findings[of.key].ID); err != nil {
			return err
		}
		rows := pick(out, of.rows...)
		if !strings.Contains(string(rows), of.rows[1]) {
			return fmt.Errorf("parry finding show does not say %s: %s", of.rows[1], out)
		}
		s.show("parry finding show "+short(s.findings[of.key].ID)+"   # "+of.key, rows)
	}
	return nil
}

// without leaves columns out of a command's table, so that it fits.
func without(out []byte, columns ...string) []byte {
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	starts := []int{0}
	header := []rune(lines[0])
	for i := 2; i < len(header); i++ {
		if header[i] != ' ' && header[i-1] == ' ' && header[i-2] == ' ' {
			starts = append(starts, i)
		}
	}
	var kept strings.Builder
	for _, line := range lines {
		row, text := []rune(line), ""
		for i, from := range starts {
			to := len(row)
			if i+1 < len(starts) {
				to = min(to, starts[i+1])
			}
			name := header[from:]
			if i+1 < len(starts) {
				name = header[from:starts[i+1]]
			}
			if from < to && !slices.Contains(columns, strings.TrimSpace(string(name))) {
				text += string(row[from:to])
			}
		}
		kept.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	return []byte(kept.String())
}

// clip cuts long lines, such as those that hold a whole statement of a policy.
func clip(out []byte, width int) []byte {
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	for i, line := range lines {
		if r := []rune(line); len(r) > width {
			lines[i] = string(r[:width-1]) + "…"
		}
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

// pick gives the rows of a command's output that begin with one of these names, with the
// lines that go on below them.
func pick(out []byte, names ...string) []byte {
	var kept []string
	on := false
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, " ") {
			on = slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(line, n+" ") })
		}
		if on {
			kept = append(kept, line)
		}
	}
	return []byte(strings.Join(kept, ""))
}

// short is a long id as a person would write it.
func short(id string) string {
	if len(id) < 24 {
		return id
	}
	return id[:12] + "…" + id[len(id)-8:]
}
