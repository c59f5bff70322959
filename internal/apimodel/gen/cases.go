package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
)

// serviceCases are AWS's own test cases for the endpoint rules of one service.
type serviceCases struct {
	ServiceID string `json:"id"`
	Cases     []struct {
		Params map[string]any  `json:"params"`
		Expect json.RawMessage `json:"expect"`
	} `json:"testCases"`
}

// writeCases packs the endpoint test cases of aws-sdk-go, below dir, into one
// compressed list. The same cases give the same bytes.
func writeCases(dir, out string) error {
	files, err := filepath.Glob(filepath.Join(dir, "models", "apis", "*", "*", "endpoint-tests-1.json"))
	if err != nil || len(files) == 0 {
		return errors.Join(err, fmt.Errorf("no endpoint tests below %s", dir))
	}
	sort.Strings(files)
	var services []serviceCases
	for _, file := range files {
		var s serviceCases
		if err := readJSON(file, &s); err != nil {
			return err
		}
		var api struct {
			Metadata struct {
				ServiceID string `json:"serviceId"`
			} `json:"metadata"`
		}
		if err := readJSON(filepath.Join(filepath.Dir(file), "api-2.json"), &api); err != nil {
			return err
		}
		s.ServiceID = api.Metadata.ServiceID
		services = append(services, s)
	}
	text, err := json.Marshal(services)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(text); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(out, b.Bytes(), 0o644) //nolint:gosec // a source file, for all to read
}
