package apimodel_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// maxArchive is what design.md decision 2 allows.
const maxArchive = 6 << 20

func TestArchiveIsSmallAndRepeatable(t *testing.T) {
	t.Parallel()
	archive, err := os.ReadFile("models.bin")
	if err != nil {
		t.Fatal(err)
	}
	if len(archive) > maxArchive {
		t.Errorf("archive has %d bytes, want at most %d", len(archive), maxArchive)
	}
	c, err := apimodel.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	// What was read can be packed again to the same bytes: nothing is lost on
	// the way in.
	for _, name := range []string{"s3", "ec2", "dynamodb", "securityhub", "sts"} {
		s, err := c.Service(name)
		if err != nil {
			t.Fatal(err)
		}
		first, err := apimodel.EncodeService(s)
		if err != nil {
			t.Fatal(err)
		}
		again, err := apimodel.DecodeService(first)
		if err != nil {
			t.Fatal(err)
		}
		second, err := apimodel.EncodeService(again)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Errorf("%s: packed twice gives different bytes", name)
		}
	}
}

func TestDamagedArchiveIsRefused(t *testing.T) {
	t.Parallel()
	archive, err := os.ReadFile("models.bin")
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{
		"empty": nil, "other version": []byte("parry-models-1\n"), "cut in the contents": archive[:100], "cut in the body": archive[:len(archive)-1],
		"longer": append(bytes.Clone(archive), 0),
	} {
		if _, err := apimodel.Open(damaged); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	// A bit that flips inside a service is found when it is unpacked.
	flipped := bytes.Clone(archive)
	flipped[len(flipped)-20] ^= 1
	c, err := apimodel.Open(flipped)
	if err != nil {
		t.Fatal(err)
	}
	names := c.Services()
	last, err := c.Service(names[len(names)-1])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := last.Rules(); err == nil {
		t.Error("a flipped bit was not noticed")
	}
}

// small is a service with one of everything, so that a fuzzer has little to
// shrink.
func small() *apimodel.Service {
	text := &apimodel.Shape{Name: "Text", Type: apimodel.String, Min: "1", Enum: []string{"a"}, Sensitive: true}
	in := &apimodel.Shape{Name: "In", Type: apimodel.Structure, Required: []string{"T"}}
	list := &apimodel.Shape{Name: "Texts", Type: apimodel.List, Elem: apimodel.Member{Name: "member", Shape: text, LocationName: "t"}}
	table := &apimodel.Shape{Name: "Table", Type: apimodel.Map, Key: apimodel.Member{Name: "key", Shape: text}, Value: apimodel.Member{Name: "value", Shape: list}}
	in.Members = []apimodel.Member{{Name: "T", Shape: text, IdempotencyToken: true}, {Name: "I", Shape: in, Location: "header"}, {Name: "M", Shape: table}}
	op := &apimodel.Operation{Name: "Do", WireName: "Do", Method: "POST", URI: "/", Input: in, Output: in, Errors: []*apimodel.Shape{in}}
	return &apimodel.Service{Name: "small", ID: "Small", Protocol: "json", Shapes: []*apimodel.Shape{in, table, text, list}, Operations: []*apimodel.Operation{op}}
}

// smallArchive is an archive with one of everything.
func smallArchive() apimodel.Archive {
	rules := []byte(`{"parameters":{"Region":{"type":"string"}},"rules":[{"type":"endpoint","conditions":[],"endpoint":{"url":"https://small.{Region}.example.com"}}]}`)
	return apimodel.Archive{
		Source: "test", Dictionary: rules,
		Partitions: []byte(`{"partitions":[{"id":"aws","regionRegex":"^us-.*$","outputs":{"dnsSuffix":"example.com"}},{"id":"aws-x","regionRegex":"^x-.*$","regions":{"y":{}}}]}`),
		Services: []apimodel.Packed{{
			Service: small(), Rules: rules,
			Paginators: map[string]apimodel.Paginator{"Do": {InputTokens: []string{"T"}, OutputTokens: []string{"M.t"}, ResultKeys: []string{"I"}}},
			Waiters: map[string]apimodel.Waiter{"DoneIt": {Operation: "Do", Delay: 5, MaxAttempts: 40, Acceptors: []apimodel.Acceptor{
				{State: "success", Matcher: "status", Expected: 200.0}, {State: "retry", Matcher: "error", Expected: "NotYet"}, {State: "failure", Matcher: "path", Argument: "I.M", Expected: true},
			}}},
		}},
	}
}

func TestPartsAreReadOneByOne(t *testing.T) {
	t.Parallel()
	a := smallArchive()
	archive, err := apimodel.WriteArchive(a)
	if err != nil {
		t.Fatal(err)
	}
	c, err := apimodel.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Service("small")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := s.Paginator("do")
	if diff := cmp.Diff(a.Services[0].Paginators["Do"], pages); diff != "" || err != nil {
		t.Errorf("paginator: %v\n%s", err, diff)
	}
	want := a.Services[0].Waiters["DoneIt"]
	want.Name = "DoneIt"
	for _, name := range []string{"DoneIt", "done_it", "done-it"} {
		if w, err := s.Waiter(name); err != nil || cmp.Diff(want, w) != "" {
			t.Errorf("waiter %s: %v\n%s", name, err, cmp.Diff(want, w))
		}
	}
	if _, err := s.Paginator("Nope"); !fault.Is(err, fault.NotFound) {
		t.Errorf("no paginator: %v", err)
	}
	if _, err := s.Waiter("Nope"); !fault.Is(err, fault.NotFound) || fault.HintOf(err) != "small has the waiters [DoneIt]" {
		t.Errorf("no waiter: %v, hint %q", err, fault.HintOf(err))
	}
	partitions, err := c.Partitions()
	if err != nil {
		t.Fatal(err)
	}
	for region, want := range map[string]string{"us-1": "aws", "x-1": "aws-x", "y": "aws-x", "elsewhere": "aws"} {
		if got := partitions.Of(region); got != want {
			t.Errorf("%s is in %s, want %s", region, got, want)
		}
	}
	// A service that was not read from an archive has its operations only.
	if names, err := small().Waiters(); len(names) != 0 || err != nil {
		t.Errorf("waiters of a service without any: %v %v", names, err)
	}
}

func FuzzDecodeService(f *testing.F) {
	packed, err := apimodel.EncodeService(small())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Add([]byte{})
	f.Add([]byte{1, 3, 'a', 'b', 'c', 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, packed []byte) {
		s, err := apimodel.DecodeService(packed)
		if err != nil {
			return
		}
		// What decodes is whole: it can be looked through and packed again.
		for _, op := range s.Operations {
			op.HasEventStream()
			op.TokenMember()
			s.Operation(op.Name)
		}
		if _, err := apimodel.EncodeService(s); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzOpenArchive(f *testing.F) {
	archive, err := apimodel.WriteArchive(smallArchive())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(archive)
	f.Add([]byte("parry-models-2\n\x00\x00\x00\x01"))
	f.Fuzz(func(_ *testing.T, archive []byte) {
		c, err := apimodel.Open(archive)
		if err != nil {
			return
		}
		_, _ = c.Partitions()
		for _, name := range c.Services() {
			s, err := c.Service(name)
			if err != nil {
				continue
			}
			_, _ = s.Paginators()
			_, _ = s.Waiters()
			_, _ = s.Rules()
		}
	})
}
