// Command gen packs botocore's service models into the archive that package
// apimodel embeds.
//
//	go run ./internal/apimodel/gen -botocore DIR -out internal/apimodel/models.bin
//
// DIR is botocore's package directory or its data directory. The same data
// always gives the same bytes; `make models` calls this and a test compares.
//
// With -cases it packs AWS's test cases for endpoint rules instead, from the
// directory of github.com/aws/aws-sdk-go:
//
//	go run ./internal/apimodel/gen -cases DIR -out internal/apimodel/testdata/endpoint-cases.json.gz
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/parry-security/parry/internal/apimodel"
)

// minServices guards against packing a half-copied directory.
const minServices = 400

func main() {
	dir := flag.String("botocore", os.Getenv("PARRY_BOTOCORE_DATA"), "botocore's directory (default $PARRY_BOTOCORE_DATA)")
	out := flag.String("out", "internal/apimodel/models.bin", "file to write")
	cases := flag.String("cases", "", "pack the endpoint test cases of this aws-sdk-go directory instead")
	flag.Parse()
	pack := func() error { return run(*dir, *out) }
	if *cases != "" {
		pack = func() error { return writeCases(*cases, *out) }
	}
	if err := pack(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(dir, out string) error {
	archive, services, err := pack(dir)
	if err != nil {
		return err
	}
	if len(services) < minServices {
		return fmt.Errorf("only %d services in %s, want at least %d", len(services), dir, minServices)
	}
	operations, paginators, waiters := 0, 0, 0
	for _, p := range services {
		operations += len(p.Service.Operations)
		paginators += len(p.Paginators)
		waiters += len(p.Waiters)
	}
	if err := os.WriteFile(out, archive, 0o644); err != nil { //nolint:gosec // a source file, for all to read
		return fmt.Errorf("write archive: %w", err)
	}
	_, _ = fmt.Printf("%s: %d services, %d operations, %d paginators, %d waiters, %d bytes\n", out, len(services), operations, paginators, waiters, len(archive))
	return nil
}

// pack reads all models below dir and gives the archive.
func pack(dir string) ([]byte, []apimodel.Packed, error) {
	a, err := readAll(dir)
	if err != nil {
		return nil, nil, err
	}
	archive, err := apimodel.WriteArchive(a)
	return archive, a.Services, err
}
