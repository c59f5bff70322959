package main

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"

	"github.com/parry-security/parry/internal/apimodel"
)

// The parts of a service-2.json that are kept. Documentation and examples have
// no field here and so fall away.
type (
	modelJSON struct {
		Metadata      metadataJSON             `json:"metadata"`
		Operations    map[string]operationJSON `json:"operations"`
		Shapes        map[string]*shapeJSON    `json:"shapes"`
		ClientContext map[string]any           `json:"clientContextParams"`
	}
	metadataJSON struct {
		APIVersion         string          `json:"apiVersion"`
		EndpointPrefix     string          `json:"endpointPrefix"`
		GlobalEndpoint     string          `json:"globalEndpoint"`
		JSONVersion        string          `json:"jsonVersion"`
		Protocol           string          `json:"protocol"`
		Protocols          []string        `json:"protocols"`
		ServiceID          string          `json:"serviceId"`
		SignatureVersion   string          `json:"signatureVersion"`
		SigningName        string          `json:"signingName"`
		TargetPrefix       string          `json:"targetPrefix"`
		XMLNamespace       json.RawMessage `json:"xmlNamespace"` // a string or an object
		Auth               []string        `json:"auth"`
		AWSQueryCompatible json.RawMessage `json:"awsQueryCompatible"`
	}
	operationJSON struct {
		Name string `json:"name"`
		HTTP struct {
			Method       string `json:"method"`
			RequestURI   string `json:"requestUri"`
			ResponseCode int    `json:"responseCode"`
		} `json:"http"`
		Input    *memberJSON  `json:"input"`
		Output   *memberJSON  `json:"output"`
		Errors   []memberJSON `json:"errors"`
		AuthType string       `json:"authtype"`
		Auth     []string     `json:"auth"`
		Endpoint struct {
			HostPrefix string `json:"hostPrefix"`
		} `json:"endpoint"`
		HTTPChecksumRequired bool `json:"httpChecksumRequired"`
		HTTPChecksum         struct {
			Required        bool   `json:"requestChecksumRequired"`
			AlgorithmMember string `json:"requestAlgorithmMember"`
			ModeMember      string `json:"requestValidationModeMember"`
		} `json:"httpChecksum"`
		ReadOnly        bool `json:"readonly"`
		Idempotent      bool `json:"idempotent"`
		Deprecated      bool `json:"deprecated"`
		UnsignedPayload bool `json:"unsignedPayload"`
		StaticContext   map[string]struct {
			Value any `json:"value"`
		} `json:"staticContextParams"`
		OperationContext map[string]struct {
			Path string `json:"path"`
		} `json:"operationContextParams"`
	}
	shapeJSON struct {
		Type            string           `json:"type"`
		Members         orderedMembers   `json:"members"`
		Required        []string         `json:"required"`
		Member          *memberJSON      `json:"member"`
		Key             *memberJSON      `json:"key"`
		Value           *memberJSON      `json:"value"`
		Enum            []string         `json:"enum"`
		Min             json.Number      `json:"min"`
		Max             json.Number      `json:"max"`
		Pattern         string           `json:"pattern"`
		Payload         string           `json:"payload"`
		TimestampFormat string           `json:"timestampFormat"`
		LocationName    string           `json:"locationName"`
		XMLNamespace    xmlNamespaceJSON `json:"xmlNamespace"`
		Error           struct {
			Code           string `json:"code"`
			HTTPStatusCode int    `json:"httpStatusCode"`
			SenderFault    bool   `json:"senderFault"`
		} `json:"error"`
		Retryable      json.RawMessage `json:"retryable"`
		Exception      bool            `json:"exception"`
		Fault          bool            `json:"fault"`
		Sensitive      bool            `json:"sensitive"`
		Union          bool            `json:"union"`
		Document       bool            `json:"document"`
		EventStream    bool            `json:"eventstream"`
		Event          bool            `json:"event"`
		Streaming      bool            `json:"streaming"`
		Flattened      bool            `json:"flattened"`
		Deprecated     bool            `json:"deprecated"`
		RequiresLength bool            `json:"requiresLength"`
		Sparse         bool            `json:"sparse"`
		Wrapper        bool            `json:"wrapper"`
	}
	memberJSON struct {
		Shape            string           `json:"shape"`
		LocationName     string           `json:"locationName"`
		Location         string           `json:"location"`
		QueryName        string           `json:"queryName"`
		ResultWrapper    string           `json:"resultWrapper"`
		XMLNamespace     xmlNamespaceJSON `json:"xmlNamespace"`
		IdempotencyToken bool             `json:"idempotencyToken"`
		JSONValue        bool             `json:"jsonvalue"`
		HostLabel        bool             `json:"hostLabel"`
		Flattened        bool             `json:"flattened"`
		Streaming        bool             `json:"streaming"`
		XMLAttribute     bool             `json:"xmlAttribute"`
		Deprecated       bool             `json:"deprecated"`
		EventPayload     bool             `json:"eventpayload"`
		EventHeader      bool             `json:"eventheader"`
		ContextParam     struct {
			Name string `json:"name"`
		} `json:"contextParam"`
	}
	xmlNamespaceJSON struct {
		URI    string `json:"uri"`
		Prefix string `json:"prefix"`
	}
)

// orderedMembers keeps the order of a JSON object: botocore reports valid names
// in it.
type orderedMembers struct {
	names  []string
	byName map[string]memberJSON
}

// UnmarshalJSON adds to what is there, so that an extras file can be merged by
// decoding it over the model.
func (o *orderedMembers) UnmarshalJSON(data []byte) error {
	more := map[string]memberJSON{}
	if err := json.Unmarshal(data, &more); err != nil {
		return err
	}
	names, err := keys(data)
	if err != nil {
		return err
	}
	if o.byName == nil {
		o.byName = more
		o.names = names
		return nil
	}
	for _, name := range names {
		if _, have := o.byName[name]; !have {
			o.names = append(o.names, name)
		}
		o.byName[name] = more[name]
	}
	return nil
}

// readAll reads the newest version of every service below dir, sorted by name,
// and what they share.
func readAll(dir string) (a apimodel.Archive, err error) {
	if dir == "" {
		return a, errors.New("no botocore directory given: use -botocore or PARRY_BOTOCORE_DATA")
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		dir = filepath.Join(dir, "data")
	}
	version, err := botocoreVersion(filepath.Dir(dir))
	if err != nil {
		return a, err
	}
	a.Source = "botocore " + version
	if a.Partitions, err = readPartitions(filepath.Join(dir, "partitions.json")); err != nil {
		return a, err
	}
	scopes, err := readScopes(filepath.Join(dir, "endpoints.json"))
	if err != nil {
		return a, err
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return a, fmt.Errorf("list services: %w", err)
	}
	for _, d := range list {
		if !d.IsDir() {
			continue
		}
		p, err := readService(filepath.Join(dir, d.Name()), d.Name())
		if err != nil {
			return a, fmt.Errorf("read %s: %w", d.Name(), err)
		}
		if p != nil {
			p.Service.Scopes = scopes.of(p.Service)
			a.Services = append(a.Services, *p)
		}
	}
	sort.Slice(a.Services, func(i, j int) bool { return a.Services[i].Service.Name < a.Services[j].Service.Name })
	a.Dictionary = dictionary(a.Services)
	return a, nil
}

var versionLine = regexp.MustCompile(`__version__ = '([0-9.]+)'`)

func botocoreVersion(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "__init__.py")) //nolint:gosec // a path that the developer names
	if err != nil {
		return "", fmt.Errorf("read botocore's version: %w", err)
	}
	m := versionLine.FindSubmatch(text)
	if m == nil {
		return "", errors.New("read botocore's version: no __version__ line")
	}
	return string(m[1]), nil
}

// readService reads the newest API version; nil where there is no service-2
// model at all.
func readService(dir, name string) (*apimodel.Packed, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "service-2.json.gz"))
	if err != nil || len(files) == 0 {
		return nil, err
	}
	sort.Strings(files)
	file := files[len(files)-1]
	m := &modelJSON{}
	if err := decodeGzip(file, m); err != nil {
		return nil, err
	}
	dir = filepath.Dir(file)
	if err := mergeExtras(filepath.Join(dir, "service-2.sdk-extras.json"), m); err != nil {
		return nil, err
	}
	p := &apimodel.Packed{}
	if p.Service, err = convert(name, m); err != nil {
		return nil, err
	}
	if p.Paginators, err = readPaginators(dir); err != nil {
		return nil, err
	}
	if p.Waiters, err = readWaiters(filepath.Join(dir, "waiters-2.json")); err != nil {
		return nil, err
	}
	p.Rules, err = readRules(filepath.Join(dir, "endpoint-rule-set-1.json.gz"))
	return p, err
}

func decodeGzip(file string, into any) error {
	f, err := os.Open(file) //nolint:gosec // a path that the developer names
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	return json.NewDecoder(z).Decode(into)
}

// mergeExtras applies botocore's own corrections to a model, as botocore does
// when it loads one.
func mergeExtras(file string, m *modelJSON) error {
	text, err := os.ReadFile(file) //nolint:gosec // a path that the developer names
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var extras struct {
		Merge struct {
			Metadata json.RawMessage            `json:"metadata"`
			Shapes   map[string]json.RawMessage `json:"shapes"`
		} `json:"merge"`
	}
	if err := json.Unmarshal(text, &extras); err != nil {
		return fmt.Errorf("read extras: %w", err)
	}
	if extras.Merge.Metadata != nil {
		if err := json.Unmarshal(extras.Merge.Metadata, &m.Metadata); err != nil {
			return fmt.Errorf("merge extras: %w", err)
		}
	}
	for name, shape := range extras.Merge.Shapes {
		if m.Shapes[name] == nil {
			m.Shapes[name] = &shapeJSON{}
		}
		if err := json.Unmarshal(shape, m.Shapes[name]); err != nil {
			return fmt.Errorf("merge extras of %s: %w", name, err)
		}
	}
	return nil
}
