package awsapi

import (
	"fmt"
	"net"
	"net/url"
	"slices"
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

	found sync.Map // key -> endpoint
	count int      // of found, under mu
	mu    sync.Mutex
}

// endpointCall is what an endpoint may depend on.
type endpointCall struct {
	op      *apimodel.Operation
	input   map[string]any
	region  string
	account string // of the credentials, "" = not known
}

// find gives the endpoint of a call.
func (e *endpoints) find(s *apimodel.Service, call endpointCall) (endpoint, error) {
	op := "find endpoint of " + s.Name
	if !validLabel(call.region) {
		return endpoint{}, fault.Errorf(fault.Invalid, op, "%q is not a region", clip(printable(call.region)))
	}
	se, err := e.of(s)
	if err != nil {
		return endpoint{}, err
	}
	key := call.region
	var params map[string]any
	if !se.byRegion {
		params = se.params(call)
		key = se.key(params)
	}
	if found, ok := se.found.Load(key); ok {
		return found.(endpoint), nil //nolint:forcetypeassert // keep stores nothing else
	}
	if params == nil {
		params = se.params(call)
	}
	ep, err := se.resolve(params, call.region)
	if err != nil {
		return endpoint{}, fault.E(fault.Invalid, op, err).WithHint("check region and input, or set AWS_ENDPOINT_URL_%s", serviceVariable(s))
	}
	se.keep(key, ep)
	return ep, nil
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
	se = &serviceEndpoints{endpoints: e, service: s, rules: rules, byRegion: true}
	if se.override, err = e.settings.override(s); err != nil {
		return nil, err
	}
	for _, p := range rules.Params() {
		if p.Used {
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

// key tells apart the parameters that give different endpoints.
func (e *serviceEndpoints) key(params map[string]any) string {
	var b strings.Builder
	for _, p := range e.used {
		switch v := params[p.Name].(type) {
		case string:
			b.WriteString(v)
		case bool:
			b.WriteByte(map[bool]byte{false: '0', true: '1'}[v])
		case []string:
			b.WriteString(strings.Join(v, "\x01"))
		default:
			b.WriteByte('-')
		}
		b.WriteByte(0)
	}
	return b.String()
}

func (e *serviceEndpoints) keep(key string, ep endpoint) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.count++; e.count > maxEndpoints {
		e.found.Clear()
		e.count = 1
	}
	e.found.Store(key, ep)
}

// resolve asks the rules. An override changes the address only: a request is
// signed as AWS's own endpoint would want it, so that a global service may be
// called through an address in another region.
func (e *serviceEndpoints) resolve(params map[string]any, region string) (endpoint, error) {
	found, err := e.rules.Resolve(e.partitions, params)
	if err != nil {
		return endpoint{}, err
	}
	ep := e.signing(found.AuthSchemes(), region)
	if e.override != nil && len(found.AuthSchemes()) == 0 {
		own := withoutEndpoint(e.rules, params)
		if usual, err := e.rules.Resolve(e.partitions, own); err == nil {
			ep = e.signing(usual.AuthSchemes(), region)
		}
	}
	if ep.url, err = url.Parse(found.URL); err != nil {
		return endpoint{}, err
	}
	ep.headers = found.Headers
	return ep, e.checkHost(ep.url)
}

func withoutEndpoint(rules *apimodel.RuleSet, params map[string]any) map[string]any {
	own := make(map[string]any, len(params))
	for _, p := range rules.Params() {
		if v, ok := params[p.Name]; ok && p.BuiltIn != builtInEndpoint {
			own[p.Name] = v
		}
	}
	return own
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
