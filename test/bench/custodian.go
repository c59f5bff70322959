package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/testenv"
)

const custodianArg = "custodian"

// sideRun is one run of one tool on a world of its own.
type sideRun struct {
	Tool      string         `json:"tool"`
	Seconds   float64        `json:"seconds"`
	AWS       float64        `json:"aws_seconds"` // at least one call was under way
	Processor float64        `json:"processor_seconds"`
	PeakMB    float64        `json:"peak_mb"`
	Reads     int            `json:"reads"`
	Changes   int            `json:"changes"`
	STS       int            `json:"sts"`
	Load      float64        `json:"load"`
	Calls     map[string]int `json:"calls"` // by who and what
	Judge     sideVerdict    `json:"judge"`
}

// sideVerdict is what test/py/custodian.py says of the end state.
type sideVerdict struct {
	Bad     int      `json:"bad"`
	Good    int      `json:"good"`
	Open    []string `json:"open"`
	TooMuch []any    `json:"too_much"`
	Touched []string `json:"touched"`
}

func (v sideVerdict) String() string {
	if len(v.Open)+len(v.TooMuch)+len(v.Touched) == 0 {
		return fmt.Sprintf("%d of %d closed, %d of %d good ones as they were", v.Bad, v.Bad, v.Good, v.Good)
	}
	return fmt.Sprintf("%d still open, %d closed with more than that, %d good ones touched", len(v.Open), len(v.TooMuch), len(v.Touched))
}

// sideBySide runs Parry and Cloud Custodian on equal worlds, in turn.
type sideBySide struct {
	*bench

	count     int // of each kind: bad buckets, good buckets, bad groups, good groups
	custodian string
	policies  string
}

func runSideBySide(ctx context.Context, args []string, out, errs io.Writer) error {
	flags := flag.NewFlagSet(custodianArg, flag.ContinueOnError)
	flags.SetOutput(errs)
	s := sideBySide{bench: &bench{errs: errs}}
	repeat := flags.Int("repeat", 3, "runs of each tool")
	format := flags.String("o", "table", "output: table or json")
	flags.IntVar(&s.count, "count", 100, "public buckets, private ones, open security groups and others, each")
	flags.StringVar(&s.custodian, "custodian", ".custodian/bin/custodian", "the custodian program")
	flags.StringVar(&s.policies, "policies", "test/bench/custodian/policies.yml", "Cloud Custodian's policies")
	flags.StringVar(&s.program, "program", "", "use this parry binary instead of building one")
	flags.StringVar(&s.profile, "serverprofile", "", "write processor profiles of the servers to this file and a number")
	flags.BoolVar(&s.verbose, "v", false, "print the steps on standard error")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, name := range []*string{&s.custodian, &s.policies} {
		var err error
		if *name, err = filepath.Abs(*name); err != nil {
			return err
		}
	}
	if _, err := os.Stat(s.custodian); err != nil {
		return fmt.Errorf("no Cloud Custodian (run: make custodian): %w", err)
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	defer s.cleanup()
	var runs []sideRun
	for range *repeat {
		for _, tool := range []func(context.Context, *sideWorld) (sideRun, error){s.runCustodian, s.runParry} {
			r, err := s.once(ctx, tool)
			if err != nil {
				return err
			}
			s.say("%s: %.1f s, %.1f s of processor, %d reads, %d changes; %s", r.Tool, r.Seconds, r.Processor, r.Reads, r.Changes, r.Judge)
			runs = append(runs, r)
		}
	}
	if *format == "json" {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(map[string]any{"machine": s.machine(), "runs": runs})
	}
	printSides(out, s.machine(), runs)
	return nil
}

// sideWorld is a world with its bad and its good resources.
type sideWorld struct {
	env  *testenv.Env
	dir  string
	file string
	key  testenv.Key // may do everything in S3 and EC2
}

// once makes a world, lets a tool do its work, and has the end state judged.
func (s *sideBySide) once(ctx context.Context, tool func(context.Context, *sideWorld) (sideRun, error)) (sideRun, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	w := &sideWorld{}
	var err error
	if w.dir, err = s.temp("side"); err != nil {
		return sideRun{}, err
	}
	if w.env, err = testenv.Start(ctx, testenv.Options{Dir: w.dir, Log: s.logger()}); err != nil {
		return sideRun{}, err
	}
	defer w.env.Stop()
	w.file = filepath.Join(w.dir, "resources.json")
	raw, err := w.env.Run(ctx, "custodian.py", "make", w.env.EstateFile(), "--count", fmt.Sprint(s.count), "--out", w.file)
	if err == nil {
		w.key, err = decode[testenv.Key](raw)
	}
	if err != nil {
		return sideRun{}, fmt.Errorf("make the resources: %w", err)
	}
	before, began := len(w.env.Wall.Log()), time.Now()
	r, err := tool(ctx, w)
	if err != nil {
		return r, fmt.Errorf("%s: %w", r.Tool, err)
	}
	made := w.env.Wall.Log()[before:]
	r.Load, r.Calls = load(), map[string]int{}
	r.AWS = inFlight(made, began, began.Add(time.Hour)).Seconds()
	for _, e := range made {
		switch {
		case e.Service == "sts":
			r.STS++
		case e.Class == "change":
			r.Changes++
		default:
			r.Reads++
		}
		r.Calls[strings.TrimSpace(stageOf(e.Session)+" "+e.Service+":"+e.Operation)]++
	}
	raw, err = w.env.Run(ctx, "custodian.py", "judge", w.env.EstateFile(), w.file)
	if failed := (*testenv.ScriptError)(nil); err != nil && (!errors.As(err, &failed) || len(failed.Stdout) == 0) {
		return r, fmt.Errorf("judge: %w", err)
	}
	r.Judge, err = decode[sideVerdict](raw)
	return r, err
}

// stageOf tells from the name of a role session which part of Parry made a call.
func stageOf(session string) string {
	stage, _, _ := strings.Cut(strings.TrimPrefix(session, "parry-"), "-")
	return stage
}

// runCustodian runs the policies once, in pull mode, with credentials of the account itself.
func (s *sideBySide) runCustodian(ctx context.Context, w *sideWorld) (sideRun, error) {
	r := sideRun{Tool: "Cloud Custodian"}
	cmd := exec.CommandContext(ctx, s.custodian, "run", "--region", w.env.Estate.Region, "--output-dir", filepath.Join(w.dir, "custodian"),
		"--cache", filepath.Join(w.dir, "custodian.cache"), s.policies)
	cmd.Env, cmd.Dir = w.env.Environ(w.key), w.dir
	var errs bytes.Buffer
	cmd.Stderr = &errs
	began := time.Now()
	err := cmd.Run()
	r.Seconds = time.Since(began).Seconds()
	if err != nil {
		return r, fmt.Errorf("%w: %s", err, errs.String()[max(0, errs.Len()-2000):])
	}
	r.spent(cmd.ProcessState)
	return r, nil
}

// runParry starts a server, has it look for what fails, imports a finding of each as
// Security Hub would, and waits until every fix is verified.
func (s *sideBySide) runParry(ctx context.Context, w *sideWorld) (sideRun, error) {
	r := sideRun{Tool: "Parry"}
	dev := w.env.Estate.Members["dev"]
	cfg := organization([]string{dev.Account}, "automatic")
	org, _ := cfg["organization"].(map[string]any)
	org["external_id"], org["hub_account"], org["management_account"] = w.env.Estate.ExternalID, w.env.Estate.Security.Account, w.env.Estate.Management.Account
	cfg["guards"] = map[string]any{"budgets": map[string]any{"per_account_hour": 8 * s.count, "per_hour": 8 * s.count}}
	var rules []any
	for _, control := range sideControls() {
		rules = append(rules, map[string]any{"name": control, "playbooks": []string{control}, "pattern": map[string]any{
			"source": []string{"aws.securityhub"},
			"detail": map[string]any{"findings": map[string]any{
				"GeneratorId": []any{map[string]any{"suffix": "/" + control}}, "Compliance": map[string]any{"Status": []string{"FAILED"}},
			}},
		}})
	}
	cfg["bus_rules"] = rules
	n, err := s.node(ctx, w.dir, cfg, w.env.Environ(w.env.Estate.Security.Hub))
	if err != nil {
		return r, err
	}
	defer n.stop()
	if err := n.keys(ctx); err != nil {
		return r, err
	}
	began := time.Now()
	if err := n.start(ctx); err != nil {
		return r, err
	}
	var findings []json.RawMessage
	for _, control := range sideControls() {
		failing, err := s.sweep(ctx, n, dev.Account, control, &r)
		if err != nil {
			return r, fmt.Errorf("sweep %s: %w", control, err)
		}
		for _, arn := range failing {
			findings = append(findings, json.RawMessage(sideFinding(control, dev.Account, arn)))
		}
	}
	s.say("Parry: %d resources fail after %.1f s", len(findings), time.Since(began).Seconds())
	for some := range slices.Chunk(findings, 100) { // as many as BatchImportFindings takes
		body, err := batch(some)
		if err != nil {
			return r, err
		}
		if err := n.send(ctx, body, len(some)); err != nil {
			return r, err
		}
	}
	if err := n.awaitVerified(ctx, len(findings)); err != nil {
		return r, err
	}
	r.Seconds = time.Since(began).Seconds()
	n.stop()
	r.spent(n.cmd.ProcessState)
	return r, nil
}

func sideControls() []string { return []string{"S3.2", "EC2.13"} }

// sweep runs `parry sweep` and gives what fails. The command's own processor time counts.
func (s *sideBySide) sweep(ctx context.Context, n *node, owner, control string, r *sideRun) ([]string, error) {
	cmd := exec.CommandContext(ctx, s.program, "sweep", control, "--account", owner, "--region", "us-east-1", "-o", "json")
	cmd.Env = append(slices.Clone(n.env), "PARRY_ENDPOINT="+n.url, "PARRY_ACCESS_KEY_ID="+n.person.AccessKeyID, "PARRY_SECRET_ACCESS_KEY="+n.person.Secret.Reveal())
	var errs bytes.Buffer
	cmd.Stderr = &errs
	raw, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 3) { // 3: something fails
		return nil, fmt.Errorf("%w: %s", err, errs.String())
	}
	r.spent(cmd.ProcessState)
	report, err := decode[struct {
		Places []struct {
			Failing []struct{ ARN string }
			Unread  []any
			Problem string
		}
	}](raw)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, p := range report.Places {
		if len(p.Unread) > 0 || p.Problem != "" {
			return nil, fmt.Errorf("not everything was read: %s %v", p.Problem, p.Unread)
		}
		for _, f := range p.Failing {
			out = append(out, f.ARN)
		}
	}
	return out, nil
}

// sideFinding is the finding of Security Hub about a resource that fails a control.
func sideFinding(control, owner, arn string) string {
	kind, name := "AwsS3Bucket", arn[strings.LastIndexAny(arn, ":/")+1:]
	if strings.HasPrefix(control, "EC2") {
		kind = "AwsEc2SecurityGroup"
	}
	text := asff(claim{
		Account: owner, Region: "us-east-1", Control: control, ID: name, Severity: "HIGH", Normalized: 70, Status: "FAILED",
		At: time.Now().UTC().Format(stamp), Bucket: name,
	})
	return strings.NewReplacer(`"Type":"AwsS3Bucket"`, `"Type":"`+kind+`"`, "arn:aws:s3:::"+name, arn).Replace(text)
}

// awaitVerified waits until so many remediations are verified; one that ends otherwise is an error.
func (n *node) awaitVerified(ctx context.Context, want int) error {
	for {
		states := map[remediation.State]int{}
		cursor := ""
		for {
			page, err := n.admin.Remediations(ctx, client.RemediationFilter{}, client.Paging{Limit: 200, Cursor: cursor})
			if err != nil {
				return err
			}
			for _, r := range page.Items {
				if r.State.Final() && r.State != remediation.Verified {
					return fmt.Errorf("%s became %s: %s", r.Resource, r.State, r.Reason)
				}
				states[r.State]++
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if states[remediation.Verified] == want {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("of %d: %v: %w: %s", want, states, context.Cause(ctx), n.log())
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// spent adds what a process used, and keeps the most memory that one had.
func (r *sideRun) spent(p *os.ProcessState) {
	r.Processor += (p.UserTime() + p.SystemTime()).Seconds()
	if u, ok := p.SysUsage().(*syscall.Rusage); ok {
		r.PeakMB = max(r.PeakMB, float64(u.Maxrss)/1024) // Linux counts in kilobytes
	}
}

func printSides(out io.Writer, m Machine, runs []sideRun) {
	fmt.Fprintf(out, "%s, %d cores, %s\n\n", m.CPU, m.Cores, m.Go)
	const line = "%-16s %8s %8s %10s %8s %7s %8s %5s %5s  %s\n"
	fmt.Fprintf(out, line, "tool", "wall s", "AWS s", "processor s", "peak MB", "reads", "changes", "STS", "load", "end state, judged in boto3")
	for _, r := range runs {
		fmt.Fprintf(out, line, r.Tool, fixed(r.Seconds, 1), fixed(r.AWS, 1), fixed(r.Processor, 1), fixed(r.PeakMB, 0), number(float64(r.Reads)),
			number(float64(r.Changes)), fmt.Sprint(r.STS), fixed(r.Load, 1), r.Judge)
	}
	seen := map[string]bool{}
	for _, r := range slices.Backward(runs) {
		if seen[r.Tool] {
			continue
		}
		seen[r.Tool] = true
		fmt.Fprintf(out, "\nCalls of %s, last run\n", r.Tool)
		for _, name := range slices.Sorted(maps.Keys(r.Calls)) {
			fmt.Fprintf(out, "  %6d  %s\n", r.Calls[name], name)
		}
	}
}
