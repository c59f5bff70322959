package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/parry-security/parry/test/testenv"
)

//go:embed botocalls.py
var botoCalls string

const (
	callRounds  = 3
	callSeconds = 2
	manyCallers = 8
)

// callRates measures calls a second of the whole gate against boto3 and
// aws-sdk-go-v2, each a process of its own, all on one recording server.
func callRates() measurement {
	return measurement{
		rows: []Row{
			atLeast("calls/boto3", "AWS calls/s of the gate over boto3's, one caller", 8, "times"),
			atLeast("calls/boto3/8", fmt.Sprintf("  %d callers", manyCallers), 8, "times"),
			atLeast("calls/sdk", "AWS calls/s of the gate over aws-sdk-go-v2's", 0.8, "times"),
			atLeast("calls/sdk/8", fmt.Sprintf("  %d callers", manyCallers), 0.8, "times"),
		},
		limit: 6 * time.Minute, // the SDK's clients take minutes to compile once
		run:   measureCalls,
	}
}

func measureCalls(ctx context.Context, b *bench, rows map[string]*Row) error {
	dir, err := b.temp("calls")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	sdk, boto := filepath.Join(dir, "sdkcalls"), filepath.Join(dir, "botocalls.py")
	build := exec.CommandContext(ctx, "go", "build", "-C", "test/bench/sdkcalls", "-trimpath", "-o", sdk, ".")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the SDK's side: %w: %s", err, text)
	}
	if err := os.WriteFile(boto, []byte(botoCalls), 0o600); err != nil {
		return err
	}
	python, err := testenv.FindPython(ctx, "")
	if err != nil {
		return err
	}
	url, stop, err := startRecording(ctx, self)
	if err != nil {
		return err
	}
	defer stop()
	sides := map[string][]string{"gate": {self, "contend-gate"}, "sdk": {sdk}, "boto3": {python, boto}}
	for _, suffix := range []string{"", "/" + strconv.Itoa(manyCallers)} {
		workers := 1
		if suffix != "" {
			workers = manyCallers
		}
		best := map[string]contest{}
		for range callRounds {
			for name, command := range sides {
				c, err := contestOf(ctx, command, url, workers)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				if c.rate() > best[name].rate() || best[name].Calls == 0 {
					best[name] = c
				}
			}
		}
		gate := best["gate"]
		for _, other := range []string{"boto3", "sdk"} {
			rows["calls/"+other+suffix].set(gate.rate()/best[other].rate(), "gate %.0f/s and %.0f us of processor a call, %s %.0f/s and %.0f us (%.1f times); best of %d; 5 operations of 4 protocols, small answers, server a process of its own",
				gate.rate(), gate.micros(), other, best[other].rate(), best[other].micros(), best[other].micros()/gate.micros(), callRounds)
		}
	}
	return recorded(ctx, url)
}

// contestOf runs one contender.
func contestOf(ctx context.Context, command []string, url string, workers int) (contest, error) {
	args := append(command[1:len(command):len(command)], url, strconv.Itoa(workers), strconv.Itoa(callSeconds))
	cmd := exec.CommandContext(ctx, command[0], args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return contest{}, fmt.Errorf("%w: %s", err, oneLine(errs.String()))
	}
	var c contest
	if err := json.Unmarshal(out, &c); err != nil || c.Calls == 0 || c.Seconds <= 0 {
		return c, fmt.Errorf("it printed %q", oneLine(string(out)))
	}
	return c, nil
}

// startRecording starts the recording server and gives its address.
func startRecording(ctx context.Context, self string) (url string, stop func(), err error) {
	cmd := exec.CommandContext(ctx, self, "serve-recording")
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { _ = in.Close(); _ = cmd.Wait() } // it ends with its input
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("start the recording server: %w", err)
	}
	return strings.TrimSpace(line), stop, nil
}

// recorded checks that the server was asked what the figures claim.
func recorded(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/_counts", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if !strings.Contains(string(text), "odd 0\n") || strings.Contains(string(text), " 0\n"+mix[0]) {
		return errors.New("the recording server was asked something else: " + oneLine(string(text)))
	}
	return nil
}
