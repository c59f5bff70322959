package awsapi

import (
	"net/url"
	"slices"
	"strings"

	"github.com/jmespath/go-jmespath"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// endpointSettings are what a user may say about endpoints, in botocore's
// environment variables.
type endpointSettings struct {
	getenv             func(string) string
	fips, dualStack    bool
	stsGlobal          bool // the old endpoint of STS, for the regions that had it
	s3Regional         bool // no global endpoint for S3 in us-east-1
	s3OwnRegion        bool // an ARN's region must be the call's
	s3NoMultiRegion    bool
	s3NoExpressSession bool
	accountMode        string
}

func readEndpointSettings(getenv func(string) string, fips, dualStack bool) endpointSettings {
	on := func(name string) bool { return strings.EqualFold(getenv(name), "true") }
	return endpointSettings{
		getenv: getenv, fips: fips || on("AWS_USE_FIPS_ENDPOINT"), dualStack: dualStack || on("AWS_USE_DUALSTACK_ENDPOINT"),
		stsGlobal:          getenv("AWS_STS_REGIONAL_ENDPOINTS") == "legacy",
		s3Regional:         getenv("AWS_S3_US_EAST_1_REGIONAL_ENDPOINT") == "regional",
		s3OwnRegion:        strings.EqualFold(getenv("AWS_S3_USE_ARN_REGION"), "false"),
		s3NoMultiRegion:    on("AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS"),
		s3NoExpressSession: on("AWS_S3_DISABLE_EXPRESS_SESSION_AUTH"),
		accountMode:        firstNonEmpty(getenv("AWS_ACCOUNT_ID_ENDPOINT_MODE"), "preferred"),
	}
}

// override reads where a service is to be looked for instead of at AWS; nil =
// nowhere else.
func (s endpointSettings) override(service *apimodel.Service) (*url.URL, error) {
	if strings.EqualFold(s.getenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), "true") {
		return nil, nil
	}
	text := firstNonEmpty(s.getenv("AWS_ENDPOINT_URL_"+serviceVariable(service)), s.getenv("AWS_ENDPOINT_URL"))
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fault.Errorf(fault.Invalid, "find endpoint of "+service.Name, "%q is not a URL", text).
			WithHint("AWS_ENDPOINT_URL must look like https://host:port")
	}
	return u, nil
}

// serviceVariable is the end of the variable that names a service's endpoint.
func serviceVariable(s *apimodel.Service) string {
	return strings.ToUpper(strings.NewReplacer(" ", "_", "-", "_").Replace(s.ID))
}

// The parameters that a client fills in by itself.
const (
	builtInRegion    = "AWS::Region"
	builtInFIPS      = "AWS::UseFIPS"
	builtInDualStack = "AWS::UseDualStack"
	builtInEndpoint  = "SDK::Endpoint"
	builtInGlobalSTS = "AWS::STS::UseGlobalEndpoint"
)

// regionalBuiltIns differ between two calls by their regions only.
var regionalBuiltIns = []string{builtInRegion, builtInFIPS, builtInDualStack, builtInEndpoint, builtInGlobalSTS}

// paramSource is what an operation itself says of a parameter: a fixed value,
// where it is in the input, or nothing.
type paramSource struct {
	value        any
	member, path string
}

// values gives the parameters of a call in the order of used, nil for what is
// not set. As with botocore, the operation comes before its input, and both
// before the client.
func (e *serviceEndpoints) values(call endpointCall) []any {
	values := make([]any, len(e.used))
	sources := e.sourcesOf(call.op)
	for i, p := range e.used {
		if sources != nil {
			values[i] = sources[i].of(call.input)
		}
		if values[i] == nil {
			values[i] = e.builtIn(p, call)
		}
	}
	return values
}

func (s *paramSource) of(input map[string]any) any {
	switch {
	case s.value != nil:
		return s.value
	case s.path != "":
		return search(s.path, input)
	case s.member != "":
		if text, ok := input[s.member].(string); ok {
			return text
		}
	}
	return nil
}

// sourcesOf works out once for each operation where its parameters come from.
func (e *serviceEndpoints) sourcesOf(op *apimodel.Operation) []paramSource {
	if op == nil {
		return nil
	}
	if found, ok := e.sources.Load(op); ok {
		return found.([]paramSource) //nolint:forcetypeassert // nothing else is stored
	}
	sources := make([]paramSource, len(e.used))
	for i, p := range e.used {
		sources[i] = e.source(op, p.Name)
	}
	e.sources.Store(op, sources)
	return sources
}

func (e *serviceEndpoints) source(op *apimodel.Operation, param string) (s paramSource) {
	if op.Input != nil {
		for i := range op.Input.Members {
			if m := &op.Input.Members[i]; m.ContextParam == param {
				s.member = m.Name
			}
		}
	}
	for _, c := range op.Context {
		switch {
		case c.Name != param:
		case c.Name == "RequiresAccountId" && e.override != nil && isLocal(e.override.Host):
			// The account would be put in front of a host that has no names below it.
		case c.Bool:
			s.value = c.Value == "true"
		case c.Path != "":
			s.path = c.Path
		default:
			s.value = c.Value
		}
	}
	return s
}

// search finds texts in an input: one, or a list in order.
func search(path string, input map[string]any) any {
	found, err := jmespath.Search(path, input)
	if err != nil {
		return nil
	}
	if text, ok := found.(string); ok {
		return text
	}
	list, _ := found.([]any)
	var texts []string
	for _, item := range list {
		if text, ok := item.(string); ok {
			texts = append(texts, text)
		}
	}
	if texts == nil {
		return nil
	}
	slices.Sort(texts) // the keys of a map come in any order
	return texts
}

// builtIn gives what the client says of a parameter.
func (e *serviceEndpoints) builtIn(p apimodel.EndpointParam, call endpointCall) any {
	own := e.override == nil // FIPS and dual stack are of AWS's own endpoints
	switch p.BuiltIn {
	case "":
		if p.Name == "DisableS3ExpressSessionAuth" && slices.Contains(e.service.ClientContext, p.Name) {
			return e.settings.s3NoExpressSession
		}
	case builtInRegion:
		return call.region
	case builtInFIPS:
		return own && e.settings.fips
	case builtInDualStack:
		return own && e.settings.dualStack
	case builtInEndpoint:
		if own {
			return nil
		}
		return e.override.String()
	case builtInGlobalSTS:
		return e.settings.stsGlobal && slices.Contains(globalSTSRegions, call.region)
	case "AWS::S3::UseGlobalEndpoint":
		return !e.settings.s3Regional && call.region == "us-east-1"
	case "AWS::S3::ForcePathStyle":
		return e.forcePath(call)
	case "AWS::S3::UseArnRegion":
		return !e.settings.s3OwnRegion
	case "AWS::S3::DisableMultiRegionAccessPoints":
		return e.settings.s3NoMultiRegion
	case "AWS::S3::Accelerate", "AWS::S3Control::UseArnRegion":
		return false
	case "AWS::Auth::AccountIdEndpointMode":
		return e.settings.accountMode
	case "AWS::Auth::AccountId":
		if call.account != "" && e.settings.accountMode != "disabled" {
			return call.account
		}
	}
	return nil
}

// forcePath reports whether a bucket's name goes into the path: at an endpoint
// that is not AWS's, and where a bucket is asked for its region, since S3 takes
// that question in any region only so. An ARN never does.
func (e *serviceEndpoints) forcePath(call endpointCall) bool {
	if call.op != nil && call.op.Name == "GetBucketLocation" {
		return true
	}
	bucket, _ := call.input["Bucket"].(string)
	return e.override != nil && !strings.HasPrefix(bucket, "arn:")
}

// globalSTSRegions are the regions that STS's one old endpoint stands for, for
// who asks for it.
var globalSTSRegions = []string{
	"ap-northeast-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "aws-global", "ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1",
	"eu-west-2", "eu-west-3", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2",
}
