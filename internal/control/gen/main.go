// Command gen writes controls.tsv, the catalogue of Security Hub's controls,
// from pages of AWS's Security Hub User Guide in Markdown: the control reference,
// the comparison of CIS versions, the table of generator ids before and after
// consolidation, the page of the AI standard, and the pages of each service's
// controls as far as they are there. Of those it takes ids, titles, severities,
// memberships, numbers of requirements and parameters, and no prose. What
// ListSecurityControlDefinitions answered (definitions*.json) tells parameters
// before the pages do.
//
//	go run ./internal/control/gen -pages DIR -out internal/control/controls.tsv
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/control"
)

func main() {
	pages := flag.String("pages", "", "folder with the pages, as .md files with AWS's names")
	out := flag.String("out", "", "file to write")
	source := flag.String("source", "AWS Security Hub User Guide", "what the first line names as the source")
	flag.Parse()
	if err := run(*pages, *out, *source); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(dir, out, source string) error {
	c, err := start(dir)
	if err != nil {
		return err
	}
	for _, page := range []struct {
		pattern string
		read    func(text string) error
	}{
		{"cis-aws-foundations-benchmark.md", c.readBenchmark},
		{"asff-changes-consolidation.md", c.readControlTower},
		{"ai-*.md", c.readAI},
		{"*-controls.md", c.readControls},
		{"definitions*.json", c.readDefinitions},
	} {
		names, err := filepath.Glob(filepath.Join(dir, page.pattern))
		if err != nil {
			return err
		}
		slices.Sort(names)
		for _, name := range names {
			raw, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			if err := page.read(string(raw)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	// The page of PCI DSS lists it; the row of the reference leaves the standard out.
	if d := c["ES.5"]; d != nil {
		c.put(d, "pci-4.0.1")
	}
	// The comparison has 1.2 for it, which is IAM.5; a zero went missing.
	if d := c["IAM.18"]; d != nil {
		for i, m := range d.Standards {
			if m.Standard == "cis-1.2" {
				d.Standards[i].Requirements = []string{"1.20"}
			}
		}
	}
	for id, title := range announced {
		if d := c[id]; d != nil {
			d.Title = title
		}
	}
	return c.write(out, source)
}

// announced are titles that the change log of controls has and the pages of the
// services, but the table of the reference not yet: changed on 2024-09-27 (ELB.4),
// 2026-03-24 (ECS.5), 2026-04-07 (EC2) and 2026-09-11 (S3.5).
var announced = map[string]string{
	"EC2.1":   "Amazon EBS snapshots should not be configured to be publicly restorable",
	"EC2.182": "Block public access settings should be enabled for Amazon EBS snapshots",
	"ECS.5":   "ECS task definitions should configure containers to be limited to read-only access to root filesystems",
	"ELB.4":   "Application Load Balancer should be configured to drop invalid http headers",
	"S3.5":    "S3 general purpose buckets should require requests to use TLS",
}

// start reads the reference. Without one the catalogue as it is gets what the
// other pages have.
func start(dir string) (catalog, error) {
	reference, err := os.ReadFile(filepath.Join(dir, "securityhub-controls-reference.md"))
	if errors.Is(err, fs.ErrNotExist) {
		c := catalog{}
		for _, d := range control.All() {
			d.Standards = slices.Clone(d.Standards)
			c[d.ID] = &d
		}
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	return readReference(string(reference))
}

// catalog is what was read, by control id.
type catalog map[string]*control.Definition

// standardOf gives the key of a standard as the pages name it.
func standardOf(name string) string {
	name = strings.TrimSpace(name)
	for prefix, key := range map[string]string{
		"AWS Foundational Security Best Practices": "fsbp",
		"CIS AWS Foundations Benchmark v5.0.0":     "cis-5.0",
		"CIS AWS Foundations Benchmark v3.0.0":     "cis-3.0",
		"CIS AWS Foundations Benchmark v1.4.0":     "cis-1.4",
		"CIS AWS Foundations Benchmark v1.2.0":     "cis-1.2",
		"NIST SP 800-53":                           "nist-800-53",
		"NIST SP 800-171":                          "nist-800-171",
		"PCI DSS v4.0.1":                           "pci-4.0.1",
		"PCI DSS v3.2.1":                           "pci-3.2.1",
		"AWS Resource Tagging Standard":            "tagging",
	} {
		if strings.HasPrefix(name, prefix) {
			return key
		}
	}
	return ""
}

var (
	linkID = regexp.MustCompile(`^\[?\[([A-Za-z0-9]+\.[0-9]+)\]`)
	spaces = regexp.MustCompile(`(?:\s|<br\s*/?>)+`)
	// runOn is a comma that the table of one control lacks.
	runOn = regexp.MustCompile(`(v[0-9.]+) (AWS|CIS|NIST|PCI)`)
)

// cells takes a row of a table apart.
func cells(line string) []string {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "|") {
		return nil
	}
	parts := strings.Split(strings.Trim(line, "|"), " | ")
	for i := range parts {
		parts[i] = strings.TrimSpace(spaces.ReplaceAllString(strings.ReplaceAll(parts[i], `\*`, "*"), " "))
	}
	return parts
}

func readReference(text string) (catalog, error) {
	c := catalog{}
	for line := range strings.Lines(text) {
		f := cells(line)
		if len(f) != 6 {
			continue
		}
		id := linkID.FindStringSubmatch(f[0])
		if id == nil {
			continue
		}
		d := &control.Definition{ID: id[1], Title: f[1], Severity: f[3], Customizable: strings.HasSuffix(f[4], "Yes"), Schedule: f[5]}
		if !slices.Contains([]string{"LOW", "MEDIUM", "HIGH", "CRITICAL"}, d.Severity) {
			return nil, fmt.Errorf("control %s has the severity %q", d.ID, d.Severity)
		}
		for name := range strings.SplitSeq(runOn.ReplaceAllString(f[2], "$1, $2"), ",") {
			if strings.TrimSpace(name) == "" {
				continue
			}
			key := standardOf(name)
			if key == "" {
				return nil, fmt.Errorf("control %s names the standard %q", d.ID, name)
			}
			c.put(d, key)
		}
		if c[d.ID] != nil {
			return nil, fmt.Errorf("control %s is there twice", d.ID)
		}
		c[d.ID] = d
	}
	if len(c) < 400 {
		return nil, fmt.Errorf("the reference has %d controls: its table was not understood", len(c))
	}
	return c, nil
}

// put adds a membership and numbers to it.
func (c catalog) put(d *control.Definition, standard string, numbers ...string) {
	i := slices.IndexFunc(d.Standards, func(m control.Membership) bool { return m.Standard == standard })
	if i < 0 {
		i = len(d.Standards)
		d.Standards = append(d.Standards, control.Membership{Standard: standard})
	}
	for _, n := range numbers {
		if !slices.Contains(d.Standards[i].Requirements, n) {
			d.Standards[i].Requirements = append(d.Standards[i].Requirements, n)
		}
	}
}

var number = regexp.MustCompile(`^[0-9]+(\.[0-9]+)+$`)

// readBenchmark reads the comparison of versions: a control and its numbers in
// 5.0, 3.0, 1.4 and 1.2.
func (c catalog) readBenchmark(text string) error {
	for line := range strings.Lines(text) {
		f := cells(line)
		if len(f) != 5 {
			continue
		}
		id := linkID.FindStringSubmatch(f[0])
		if id == nil || c[id[1]] == nil {
			continue
		}
		for i, key := range []string{"cis-5.0", "cis-3.0", "cis-1.4", "cis-1.2"} {
			if number.MatchString(f[i+1]) {
				c.put(c[id[1]], key, f[i+1])
			}
		}
	}
	return nil
}

// readControlTower takes the controls of that standard from its generator ids.
func (c catalog) readControlTower(text string) error {
	for line := range strings.Lines(text) {
		f := cells(line)
		if len(f) != 2 {
			continue
		}
		rule, ok := strings.CutPrefix(f[0], "service-managed-aws-control-tower/v/1.0.0/")
		if !ok {
			continue
		}
		if rule == "ELBv2.1" {
			rule = "ELB.1"
		}
		if d := c[rule]; d != nil { // a retired control has left the reference
			c.put(d, "control-tower")
		}
	}
	return nil
}

// readAI reads the list of the standard whose page names its ARN.
func (c catalog) readAI(text string) error {
	if !strings.Contains(text, "standards/ai-security-best-practices/v/1.0.0") {
		return nil
	}
	for line := range strings.Lines(text) {
		item, ok := strings.CutPrefix(strings.TrimSpace(line), "+ ")
		if id := linkID.FindStringSubmatch(item); ok && id != nil && c[id[1]] != nil {
			c.put(c[id[1]], "ai")
		}
	}
	return nil
}

func (c catalog) write(path, source string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	fmt.Fprintf(w, "# Written by control/gen from %s. Id, severity, schedule, parameters, standards with requirements, title.\n", source)
	ids := make([]string, 0, len(c))
	for id := range c {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, control.Compare)
	for _, id := range ids {
		d := c[id]
		parameters := "-"
		if d.Customizable {
			parameters = "parameters"
		}
		if d.Parameters != nil {
			var list []string
			for _, p := range d.Parameters {
				list = append(list, p.Encode())
			}
			parameters = strings.Join(list, " ")
		}
		var places []string
		for _, s := range control.Standards() {
			if m, ok := d.In(s.Key); ok {
				place := s.Key
				if len(m.Requirements) > 0 {
					place += "=" + strings.Join(m.Requirements, ";")
				}
				places = append(places, place)
			}
		}
		fmt.Fprintln(w, strings.Join([]string{d.ID, d.Severity, d.Schedule, parameters, strings.Join(places, " "), d.Title}, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
