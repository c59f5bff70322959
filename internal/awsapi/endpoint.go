package awsapi

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// endpoint is where a request goes and what it is signed with. It is shared by
// calls and never changed.
type endpoint struct {
	url           *url.URL
	headers       map[string]string
	signingRegion string
	signingName   string
	rawPath       bool   // the path is signed as it is sent
	unsignable    string // ways of signing that are asked for, none of which is known
}

// maxEndpoints bounds how many results are kept for a service, whose endpoint
// may differ by bucket.
const maxEndpoints = 1000

// endpoints finds where services are, for one client: by AWS's endpoint rules,
// filled in as botocore does it.
type endpoints struct {
	models     *apimodel.Catalog
	partitions *apimodel.Partitions
	settings   endpointSettings

	mu       sync.RWMutex
	services map[string]*serviceEndpoints
}

func newEndpoints(models *apimodel.Catalog, settings endpointSettings) (*endpoints, error) {
	partitions, err := models.Partitions()
	if err != nil {
		return nil, err
	}
	return &endpoints{models: models, partitions: partitions, settings: settings, services: map[string]*serviceEndpoints{}}, nil
}

// serviceEndpoints are the endpoints of one service that were found so far.
type serviceEndpoints struct {
	*endpoints
	service  *apimodel.Service
	rules    *apimodel.RuleSet
	used     []apimodel.EndpointParam // what the rules depend on
	byRegion bool                     // they depend on nothing of a single call but its region
	override *url.URL                 // from configuration; nil = AWS's own
	sources  sync.Map                 // *apimodel.Operation -> []paramSource

	mu    sync.RWMutex
	found map[string]*endpoint // by region, or by all that the rules depend on
}

// endpointCall is what an endpoint may depend on.
type endpointCall struct {
	op      *apimodel.Operation
	input   map[string]any
	region  string
	account string // of the credentials, "" = not known
}

// find gives the endpoint of a call.
func (e *endpoints) find(s *apimodel.Service, call endpointCall) (*endpoint, error) {
	if !validLabel(call.region) {
		return nil, fault.Errorf(fault.Invalid, "find endpoint of "+s.Name, "%q is not a region", clip(printable(call.region)))
	}
	se, err := e.of(s)
	if err != nil {
		return nil, err
	}
	var space [256]byte
	key := append(space[:0], call.region...)
	var values []any
	if !se.byRegion {
		values = se.values(call)
		key = appendKey(space[:0], values)
	}
	se.mu.RLock()
	found := se.found[string(key)]
	se.mu.RUnlock()
	if found != nil {
		return found, nil
	}
	if values == nil {
		values = se.values(call)
	}
	if found, err = se.resolve(values, call.region); err != nil {
		return nil, fault.E(fault.Invalid, "find endpoint of "+s.Name, err).WithHint("check region and input, or set AWS_ENDPOINT_URL_%s", serviceVariable(s))
	}
	se.keep(string(key), found)
	return found, nil
}

func (e *endpoints) of(s *apimodel.Service) (*serviceEndpoints, error) {
	e.mu.RLock()
	se := e.services[s.Name]
	e.mu.RUnlock()
	if se != nil {
		return se, nil
	}
	rules, err := s.Rules()
	if err == nil && rules == nil {
		err = fault.Errorf(fault.Internal, "find endpoint of "+s.Name, "its model has no endpoint rules")
	}
	if err != nil {
		return nil, err
	}
	se = &serviceEndpoints{endpoints: e, service: s, rules: rules, byRegion: true, found: map[string]*endpoint{}}
	if se.override, err = e.settings.override(s); err != nil {
		return nil, err
	}
	for _, p := range rules.Params() {
		if p.Used || p.Required {
			se.used = append(se.used, p)
			se.byRegion = se.byRegion && slices.Contains(regionalBuiltIns, p.BuiltIn)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if other := e.services[s.Name]; other != nil {
		return other, nil
	}
	e.services[s.Name] = se
	return se, nil
}

// appendKey tells apart the parameters that give different endpoints.
func appendKey(key []byte, values []any) []byte {
	for _, v := range values {
		switch v := v.(type) {
		case string:
			key = append(append(key, 's'), v...)
		case bool:
			key = strconv.AppendBool(key, v)
		case []string:
			for _, text := range v {
				key = append(append(key, 1), text...)
			}
		}
		key = append(key, 0)
	}
	return key
}

func (e *serviceEndpoints) keep(key string, ep *endpoint) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.found) >= maxEndpoints {
		clear(e.found)
	}
	e.found[key] = ep
}

// resolve asks the rules. An override changes the address only: a request is
// signed as AWS's own endpoint would want it, so that a global service may be
// called through an address in another region.
func (e *serviceEndpoints) resolve(values []any, region string) (*endpoint, error) {
	params, own := make(map[string]any, len(values)), make(map[string]any, len(values))
	for i, p := range e.used {
		params[p.Name] = values[i]
		if p.BuiltIn != builtInEndpoint {
			own[p.Name] = values[i]
		}
	}
	found, err := e.rules.Resolve(e.partitions, params)
	if err != nil {
		return nil, err
	}
	ep := e.signing(found.AuthSchemes(), region)
	if e.override != nil && len(found.AuthSchemes()) == 0 {
		if usual, err := e.rules.Resolve(e.partitions, own); err == nil {
			ep = e.signing(usual.AuthSchemes(), region)
		}
	}
	if ep.url, err = url.Parse(found.URL); err != nil {
		return nil, err
	}
	ep.headers = found.Headers
	return &ep, e.checkHost(ep.url)
}

// signing picks the first way of signing that is known.
func (e *serviceEndpoints) signing(schemes []apimodel.AuthScheme, region string) endpoint {
	ep := endpoint{signingRegion: region, signingName: e.service.SigningName, rawPath: isS3(e.service)}
	partition := e.partitions.Of(region)
	for _, scope := range e.service.Scopes {
		if scope.Partition == partition {
			ep.signingRegion = firstNonEmpty(scope.Region, region)
			ep.signingName = firstNonEmpty(scope.SigningName, ep.signingName)
		}
	}
	var names []string
	for _, s := range schemes {
		if s.Name == "sigv4" {
			ep.signingRegion = firstNonEmpty(s.SigningRegion, ep.signingRegion)
			ep.signingName = firstNonEmpty(s.SigningName, ep.signingName)
			ep.rawPath = ep.rawPath || s.DisableDoubleEncoding
			return ep
		}
		names = append(names, s.Name)
	}
	ep.unsignable = strings.Join(names, ", ")
	return ep
}

// checkHost keeps what came from a document, such as a region or the account of
// an ARN, from naming a host that is neither AWS's nor in the configuration.
func (e *serviceEndpoints) checkHost(u *url.URL) error {
	if e.override != nil {
		if u.Host != e.override.Host && !strings.HasSuffix(u.Host, "."+e.override.Host) {
			return fmt.Errorf("%q is not below %s", clip(printable(u.Host)), e.override.Host)
		}
		return nil
	}
	if u.Scheme != "https" || u.User != nil || !validHost(u.Host) || !e.partitions.HasHost(u.Host) {
		return fmt.Errorf("%q is not an address of AWS", clip(printable(u.String())))
	}
	return nil
}

// validHost keeps a region that came from a document from naming another host.
func validHost(host string) bool {
	for label := range strings.SplitSeq(host, ".") {
		if !validLabel(label) {
			return false
		}
	}
	return len(host) <= 253
}

func validLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		c := label[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// isLocal reports whether a host has no names of its own below it, so that no
// prefix can be put in front.
func isLocal(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	return name == "localhost" || net.ParseIP(strings.Trim(name, "[]")) != nil || !strings.Contains(name, ".")
}

// accountOf gives the account field of an ARN, or "".
func accountOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" {
		return ""
	}
	return parts[4]
}
