package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/parry-security/parry/internal/apimodel"
)

// paginatorJSON is an entry of paginators-1.json. Tokens and keys are one
// expression or a list of them.
type paginatorJSON struct {
	InputToken       texts    `json:"input_token"`
	OutputToken      texts    `json:"output_token"`
	LimitKey         string   `json:"limit_key"`
	MoreResults      string   `json:"more_results"`
	ResultKey        texts    `json:"result_key"`
	NonAggregateKeys []string `json:"non_aggregate_keys"`
}

type texts []string

// UnmarshalJSON takes a string for a list of one.
func (t *texts) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = texts{one}
		return nil
	}
	var many []string
	err := json.Unmarshal(data, &many)
	*t = many
	return err
}

// readPaginators reads what a service has of paginators, with botocore's own
// corrections merged in as botocore does it.
func readPaginators(dir string) (map[string]apimodel.Paginator, error) {
	var j struct {
		Pagination map[string]*paginatorJSON `json:"pagination"`
	}
	if err := readJSON(filepath.Join(dir, "paginators-1.json"), &j); err != nil {
		return nil, err
	}
	var extras struct {
		Merge struct {
			Pagination map[string]json.RawMessage `json:"pagination"`
		} `json:"merge"`
	}
	if err := readJSON(filepath.Join(dir, "paginators-1.sdk-extras.json"), &extras); err != nil {
		return nil, err
	}
	for name, more := range extras.Merge.Pagination {
		if j.Pagination[name] == nil {
			return nil, fmt.Errorf("extras for %s, which has no paginator", name)
		}
		if err := json.Unmarshal(more, j.Pagination[name]); err != nil {
			return nil, fmt.Errorf("merge extras of paginator %s: %w", name, err)
		}
	}
	paginators := make(map[string]apimodel.Paginator, len(j.Pagination))
	for name, p := range j.Pagination {
		if len(p.InputToken) == 0 || len(p.InputToken) != len(p.OutputToken) {
			return nil, fmt.Errorf("paginator %s has %d tokens in and %d out", name, len(p.InputToken), len(p.OutputToken))
		}
		paginators[name] = apimodel.Paginator{
			InputTokens: p.InputToken, OutputTokens: p.OutputToken, LimitKey: p.LimitKey, MoreResults: p.MoreResults,
			ResultKeys: p.ResultKey, NonAggregateKeys: p.NonAggregateKeys,
		}
	}
	return paginators, nil
}

func readWaiters(file string) (map[string]apimodel.Waiter, error) {
	var j struct {
		Waiters map[string]struct {
			Operation   string `json:"operation"`
			Delay       int    `json:"delay"`
			MaxAttempts int    `json:"maxAttempts"`
			Acceptors   []struct {
				State    string `json:"state"`
				Matcher  string `json:"matcher"`
				Argument string `json:"argument"`
				Expected any    `json:"expected"`
			} `json:"acceptors"`
		} `json:"waiters"`
	}
	if err := readJSON(file, &j); err != nil {
		return nil, err
	}
	waiters := make(map[string]apimodel.Waiter, len(j.Waiters))
	for name, w := range j.Waiters {
		out := apimodel.Waiter{Name: name, Operation: w.Operation, Delay: w.Delay, MaxAttempts: w.MaxAttempts}
		for _, a := range w.Acceptors {
			out.Acceptors = append(out.Acceptors, apimodel.Acceptor(a))
		}
		waiters[name] = out
	}
	return waiters, nil
}

// readJSON reads a file into into; a file that is not there changes nothing.
func readJSON(file string, into any) error {
	text, err := os.ReadFile(file) //nolint:gosec // a path that the developer names
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", filepath.Base(file), err)
	}
	return nil
}
