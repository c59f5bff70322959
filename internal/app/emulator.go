package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
)

// The keys with which an emulator is called. They are of no account of AWS: what
// makes fixtures must not reach one, whatever the environment says.
const (
	emulatorKey     = "AKIAPARRYREHEARSAL00"
	emulatorSecret  = "no-secret"
	emulatorAccount = "123456789012"
)

// Emulator makes calls in an emulator of AWS such as moto: the fixtures of a
// rehearsal, and the reads that judge it. Nothing of it is planned or recorded.
type Emulator struct {
	Endpoint string

	client *awsapi.Client
	reset  func(context.Context) error
	mu     sync.Mutex
	keys   map[string]awsapi.Credentials // by account
}

// NewEmulator opens the emulator at endpoint, which must not be one of AWS's
// own. Reset makes it forget everything; nil = it cannot be told to.
func NewEmulator(endpoint string, reset func(context.Context) error, logger *slog.Logger) (*Emulator, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fault.Errorf(fault.Invalid, "open emulator", "%q is not the address of an emulator", endpoint).WithHint("give one such as http://127.0.0.1:5000")
	}
	if host := strings.TrimSuffix(strings.ToLower(u.Hostname()), "."); strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, ".amazonaws.com.cn") || strings.HasSuffix(host, ".api.aws") {
		return nil, fault.Errorf(fault.Denied, "open emulator", "%s is AWS itself, where fixtures would be real", host).WithHint("give the address of an emulator such as moto")
	}
	models, err := apimodel.Load()
	if err != nil {
		return nil, err
	}
	e := &Emulator{Endpoint: endpoint, reset: reset}
	own := awsapi.Credentials{AccessKeyID: emulatorKey, SecretAccessKey: awsapi.NewSecret(emulatorSecret), Account: emulatorAccount}
	e.keys = map[string]awsapi.Credentials{emulatorAccount: own}
	e.client, err = newClient(config.Default(), awsapi.ClientConfig{Models: models, Logger: logger, Getenv: e.Getenv})
	return e, err
}

// Getenv is the environment of whoever is to see the emulator and nothing of
// this machine's AWS.
func (e *Emulator) Getenv(name string) string {
	switch name {
	case "AWS_ENDPOINT_URL":
		return e.Endpoint
	case "AWS_REGION", "AWS_DEFAULT_REGION":
		return "us-east-1"
	}
	return ""
}

// Close lets go of connections.
func (e *Emulator) Close() { e.client.Close() }

// Reset makes the emulator forget everything, and the keys that it gave out.
func (e *Emulator) Reset(ctx context.Context) error {
	e.mu.Lock()
	e.keys = map[string]awsapi.Credentials{emulatorAccount: e.keys[emulatorAccount]}
	e.mu.Unlock()
	if e.reset == nil {
		return nil
	}
	return e.reset(ctx)
}

// Call makes a call with keys of the account that c names. What is text for a
// number or a truth value is taken as such, as in documents.
func (e *Emulator) Call(ctx context.Context, c apimodel.Call) (apimodel.Reply, error) {
	keys, err := e.Keys(ctx, c.Account)
	if err != nil {
		return apimodel.Reply{}, err
	}
	return e.client.Send(ctx, keys, c)
}

// Keys gives credentials of an account. An emulator lets anybody assume a role.
func (e *Emulator) Keys(ctx context.Context, account string) (awsapi.Credentials, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if k, ok := e.keys[account]; ok {
		return k, nil
	}
	reply, err := e.client.Send(ctx, e.keys[emulatorAccount], apimodel.Call{Service: "sts", Operation: "AssumeRole", Region: "us-east-1", Input: map[string]any{
		"RoleArn": "arn:aws:iam::" + account + ":role/rehearsal", "RoleSessionName": "rehearsal",
	}})
	if err != nil {
		return awsapi.Credentials{}, fmt.Errorf("take keys of account %s: %w", account, err)
	}
	given, _ := reply.Output["Credentials"].(map[string]any)
	text := func(name string) string { s, _ := given[name].(string); return s }
	k := awsapi.Credentials{
		AccessKeyID: text("AccessKeyId"), SecretAccessKey: awsapi.NewSecret(text("SecretAccessKey")), SessionToken: awsapi.NewSecret(text("SessionToken")), Account: account,
	}
	e.keys[account] = k
	return k, nil
}
