package demo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/test/testenv"
)

// The members, as test/py/estate.py names them.
const (
	canary   = "web-dev"
	follower = "data-dev"
	webProd  = "web-prod"
	dataProd = "data-prod"
)

// units are the organizational units with their members.
var units = map[string][]string{"dev": {canary, follower}, "prod": {webProd, dataProd}, "sandbox": {"ana", "ben"}}

// startWorld brings up moto, the wall, the SMTP sink, the organization, and in it a
// bad resource for each of ten controls, most of them beside a good twin.
func (s *story) startWorld(ctx context.Context) (string, error) {
	dir := filepath.Join(s.Dir, "world")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	var err error
	if s.env, err = testenv.Start(ctx, testenv.Options{Dir: dir, Python: s.Python, Log: s.Log, Story: true}); err != nil {
		return "", err
	}
	s.resourcesFile = filepath.Join(s.Dir, "resources.json")
	if _, err := s.env.Run(ctx, "controls.py", "make", s.env.EstateFile(), "--out", s.resourcesFile, "--story"); err != nil {
		return "", err
	}
	raw, err := os.ReadFile(s.resourcesFile)
	if err != nil {
		return "", err
	}
	if s.resources, err = decode[map[string]resource](raw); err != nil {
		return "", err
	}
	for _, entry := range s.env.Wall.Log() {
		s.worldSeq = max(s.worldSeq, entry.Seq)
	}
	bad, controls := 0, map[string]bool{}
	for _, r := range s.resources {
		controls[r.Control] = true
		if !r.Good {
			bad++
		}
	}
	return fmt.Sprintf("8 accounts: management, security, two each in dev, prod and sandbox; 2 Regions; %d resources that fail one of %d controls, and %d good twins",
		bad, len(controls), len(s.resources)-bad), nil
}

// account gives the id of a member's account.
func (s *story) account(member string) string { return s.env.Estate.Members[member].Account }

func (s *story) accounts(unit string) []string {
	out := make([]string, 0, len(units[unit]))
	for _, m := range units[unit] {
		out = append(out, s.account(m))
	}
	return out
}

// startServer writes the configuration, issues keys and starts parry serve.
func (s *story) startServer(ctx context.Context) (string, error) {
	if s.Listen == "" {
		port, err := freePort(ctx)
		if err != nil {
			return "", err
		}
		s.Listen = port
	}
	s.endpoint = "http://" + s.Listen
	s.config = filepath.Join(s.Dir, "parry.yaml")
	raw, err := yaml.Marshal(s.configuration())
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(s.config, raw, 0o600); err != nil {
		return "", err
	}
	if err := s.issueKeys(ctx); err != nil {
		return "", err
	}
	srv, ready, err := s.launch(ctx)
	if err != nil {
		return "", err
	}
	s.server = srv
	s.summary.Figures["ready_ms"] = ready.Milliseconds()
	return fmt.Sprintf("%s, ready after %d ms; keys for olga (operator), alice (approver), an administrator and Security Hub", s.endpoint, ready.Milliseconds()), nil
}

// issueKeys makes the keys of the story's people and of the source of findings.
func (s *story) issueKeys(ctx context.Context) error {
	s.keys = map[string]key{}
	source := []string{"--role", "source", "--product", "aws/securityhub", "--trusted"}
	for _, unit := range []string{"dev", "sandbox"} {
		for _, id := range s.accounts(unit) {
			source = append(source, "--account", id)
		}
	}
	for name, args := range map[string][]string{
		"security-hub": source,
		"olga":         {"--role", "operator", "--account", "*"},
		"alice":        {"--role", "approver", "--account", "*"},
		"admin":        {"--role", "admin", "--account", "*"},
	} {
		out, err := s.parry(ctx, "", append([]string{"key", "create", name, "-o", "json"}, args...)...)
		if err != nil {
			return err
		}
		if s.keys[name], err = decode[key](out); err != nil {
			return err
		}
	}
	return nil
}
