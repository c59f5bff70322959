package awsapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// Secret is text that no log, error or JSON shows.
type Secret struct{ value string }

// redacted is what a secret prints.
const redacted = "[redacted]"

// NewSecret hides value.
func NewSecret(value string) Secret { return Secret{value: value} }

// Reveal gives the text, for the one place that must use it.
func (s Secret) Reveal() string { return s.value }

// String prints "[redacted]", also under %s and %v.
func (Secret) String() string { return redacted }

// GoString prints "[redacted]" under %#v.
func (Secret) GoString() string { return redacted }

// MarshalJSON prints "[redacted]".
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue prints "[redacted]" in a log.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Credentials are what a call is signed with. The zero value signs nothing and
// is refused.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey Secret
	SessionToken    Secret
	// Account is the account that they belong to, where that is known.
	Account string
	// Expires is when they end; zero = never.
	Expires time.Time

	reply apimodel.Reply // of the call that gave them, its metadata alone
}

// Valid reports whether there is something to sign with.
func (c Credentials) Valid() bool { return c.AccessKeyID != "" && c.SecretAccessKey.value != "" }

func (c Credentials) sdk() aws.Credentials {
	return aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey.value, SessionToken: c.SessionToken.value}
}

// CredentialSource gives the process's own credentials and those of roles. It
// keeps nothing on disk; whoever calls AssumeRole keeps the answer, in memory.
type CredentialSource struct {
	client  *Client
	profile string // "" = as the environment says

	mu       sync.Mutex
	provider aws.CredentialsProvider
	static   Credentials
}

// NewCredentialSource takes the process's credentials from the default chain
// (environment, shared files, container, instance), loaded when first needed.
// client sends AssumeRole.
func NewCredentialSource(client *Client) *CredentialSource {
	return &CredentialSource{client: client}
}

// NewProfileCredentials is NewCredentialSource with a profile of the shared files, which
// then comes before the environment; "" is none.
func NewProfileCredentials(client *Client, profile string) *CredentialSource {
	return &CredentialSource{client: client, profile: profile}
}

// NewStaticCredentials uses given credentials as the process's own, for tests
// and for servers with keys of their own.
func NewStaticCredentials(client *Client, own Credentials) *CredentialSource {
	return &CredentialSource{client: client, static: own}
}

// Process gives the credentials of the process. They are refreshed before they
// end.
func (s *CredentialSource) Process(ctx context.Context) (Credentials, error) {
	if s.static.Valid() {
		return s.static, nil
	}
	provider, err := s.load(ctx)
	if err != nil {
		return Credentials{}, err
	}
	got, err := provider.Retrieve(ctx)
	if err != nil && strings.Contains(err.Error(), "no EC2 IMDS role found") { // the end of the chain
		err = errors.New("there are none: neither in the environment nor in ~/.aws, and this machine has no role")
	}
	if err != nil {
		return Credentials{}, fault.E(fault.Denied, "find AWS credentials", err).
			WithHint("set AWS_PROFILE or the AWS_ACCESS_KEY_ID variables; `aws sts get-caller-identity` shows what is found")
	}
	own := Credentials{AccessKeyID: got.AccessKeyID, SecretAccessKey: NewSecret(got.SecretAccessKey), SessionToken: NewSecret(got.SessionToken), Account: got.AccountID}
	if got.CanExpire {
		own.Expires = got.Expires
	}
	return own, nil
}

func (s *CredentialSource) load(ctx context.Context) (aws.CredentialsProvider, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.provider != nil {
		return s.provider, nil
	}
	// The chain's own STS and SSO calls go where AWS_ENDPOINT_URL_STS and
	// AWS_ENDPOINT_URL_SSO say, which the SDK reads itself; it does not heed
	// AWS_ENDPOINT_URL here.
	cfg, err := config.LoadDefaultConfig(ctx, append(s.options(), config.WithDefaultRegion("us-east-1"))...)
	if err != nil {
		return nil, fault.E(fault.Invalid, "read AWS configuration", err).WithHint("check AWS_PROFILE and ~/.aws/config")
	}
	if cfg.Credentials == nil {
		return nil, fault.Errorf(fault.Denied, "find AWS credentials", "none found").
			WithHint("set AWS_PROFILE or the AWS_ACCESS_KEY_ID variables")
	}
	s.provider = aws.NewCredentialsCache(cfg.Credentials, func(o *aws.CredentialsCacheOptions) {
		o.ExpiryWindow, o.ExpiryWindowJitterFrac = 5*time.Minute, 0.2
	})
	return s.provider, nil
}

// options are those that the default chain is loaded with.
func (s *CredentialSource) options() []func(*config.LoadOptions) error {
	// What the SDK has to say besides its errors would stand between the lines of Parry.
	out := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
	if s.profile != "" {
		out = append(out, config.WithSharedConfigProfile(s.profile))
	}
	if s.client != nil && s.client.cfg.Sent != nil {
		out = append(out, config.WithAPIOptions([]func(*middleware.Stack) error{s.client.countChain}))
	}
	return out
}

// countChain tells Sent of what the SDK's own clients send for the credential chain:
// after their middleware for attempts, so that each is told of.
func (c *Client) countChain(stack *middleware.Stack) error {
	return stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("ParrySent", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		c.cfg.Sent(Sent{Service: strings.ToLower(awsmiddleware.GetServiceID(ctx)), Operation: awsmiddleware.GetOperationName(ctx), Region: awsmiddleware.GetRegion(ctx)})
		return next.HandleFinalize(ctx, in)
	}), middleware.After)
}

// Region gives the region that environment or profile name, "" for none.
func (s *CredentialSource) Region(ctx context.Context) (string, error) {
	cfg, err := config.LoadDefaultConfig(ctx, s.options()...)
	if err != nil {
		return "", fault.E(fault.Invalid, "read AWS configuration", err).WithHint("name a profile that is in ~/.aws/config or ~/.aws/credentials; aws configure list-profiles lists them")
	}
	return cfg.Region, nil
}

// AssumeRole asks STS for credentials of a role and says when they end.
func (s *CredentialSource) AssumeRole(ctx context.Context, in RoleRequest) (Credentials, time.Time, error) {
	own, err := s.Process(ctx)
	if err != nil {
		return Credentials{}, time.Time{}, err
	}
	input := map[string]any{"RoleArn": in.RoleARN, "RoleSessionName": in.SessionName}
	if in.ExternalID != "" {
		input["ExternalId"] = in.ExternalID
	}
	if in.SourceIdentity != "" {
		input["SourceIdentity"] = in.SourceIdentity
	}
	if in.Policy != "" {
		input["Policy"] = in.Policy
	}
	var arns, tags []any
	for _, arn := range in.PolicyARNs {
		arns = append(arns, map[string]any{"arn": arn})
	}
	for _, k := range slices.Sorted(maps.Keys(in.Tags)) {
		tags = append(tags, map[string]any{"Key": k, "Value": in.Tags[k]})
	}
	if len(arns) > 0 {
		input["PolicyArns"] = arns
	}
	if len(tags) > 0 {
		input["Tags"] = tags
	}
	call := apimodel.Call{Service: "sts", Operation: "AssumeRole", Region: in.Region, Input: input}
	reply, err := s.client.Send(ctx, own, call)
	if err != nil {
		return Credentials{}, time.Time{}, fmt.Errorf("assume role %s: %w", in.RoleARN, err)
	}
	return roleCredentials(reply.Output)
}

// roleCredentials reads the answer of sts:AssumeRole.
func roleCredentials(out map[string]any) (Credentials, time.Time, error) {
	given, _ := out["Credentials"].(map[string]any)
	text := func(name string) string { s, _ := given[name].(string); return s }
	expires, _ := given["Expiration"].(time.Time)
	creds := Credentials{
		AccessKeyID: text("AccessKeyId"), SecretAccessKey: NewSecret(text("SecretAccessKey")),
		SessionToken: NewSecret(text("SessionToken")), Expires: expires,
	}
	if user, ok := out["AssumedRoleUser"].(map[string]any); ok {
		arn, _ := user["Arn"].(string)
		creds.Account = accountOf(arn)
	}
	if !creds.Valid() || expires.IsZero() {
		return Credentials{}, time.Time{}, fault.Errorf(fault.Unavailable, "assume role", "the answer holds no credentials")
	}
	creds.reply.Output = map[string]any{"ResponseMetadata": out["ResponseMetadata"]}
	return creds, expires, nil
}
