// Package sts answers GetCallerIdentity, so that a client can find out whose
// key it holds.
package sts

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/url"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/awsfront/sigv4"
	"github.com/parry-security/parry/internal/fault"
)

const namespace = "https://sts.amazonaws.com/doc/2011-06-15/"

// Config is what New needs.
type Config struct {
	// Account is the one that Parry runs for: the security account. Required.
	Account string
	// Partition of the ARNs. Default: aws.
	Partition string
}

// Handler answers STS.
type Handler struct{ cfg Config }

// New makes a Handler.
func New(cfg Config) (*Handler, error) {
	if cfg.Account == "" {
		return nil, fault.Errorf(fault.Internal, "make STS", "account is required")
	}
	if cfg.Partition == "" {
		cfg.Partition = "aws"
	}
	return &Handler{cfg}, nil
}

// Reads is true: no operation served here changes anything.
func (h *Handler) Reads(*http.Request) bool { return true }

// MaxBody is 16 KiB.
func (h *Handler) MaxBody() int64 { return 16 << 10 }

// Refuse words a request that was not let through.
func (h *Handler) Refuse(w http.ResponseWriter, _ *http.Request, f *sigv4.Failure) {
	protocol.WriteQueryError(w, namespace, protocol.QueryFailure(f))
}

type identity struct {
	Arn     string `xml:"Arn"`
	UserID  string `xml:"UserId"`
	Account string `xml:"Account"`
}

type response struct {
	XMLName   xml.Name `xml:"GetCallerIdentityResponse"`
	Namespace string   `xml:"xmlns,attr"`
	Result    identity `xml:"GetCallerIdentityResult"`
	RequestID string   `xml:"ResponseMetadata>RequestId"`
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	form, err := form(r)
	if err != nil {
		protocol.WriteQueryError(w, namespace, &protocol.Error{Status: http.StatusBadRequest, Code: "MalformedQueryString", Message: "The query string or body is not form-encoded."})
		return
	}
	if action := form.Get("Action"); action != "GetCallerIdentity" {
		protocol.WriteQueryError(w, namespace, &protocol.Error{
			Status: http.StatusBadRequest, Code: "InvalidAction",
			Message: "Could not find operation " + clip(action) + " for version 2011-06-15. Parry answers GetCallerIdentity.",
		})
		return
	}
	protocol.WriteXML(w, http.StatusOK, response{
		Namespace: namespace, Result: h.identity(auth.PrincipalFrom(r.Context())), RequestID: w.Header().Get("X-Amzn-Requestid"),
	})
}

// form joins the parameters of query and body, as the query protocol has it.
func form(r *http.Request) (url.Values, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	values, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, err
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	for name, v := range query {
		values[name] = append(values[name], v...)
	}
	return values, nil
}

// identity says who holds the key. A key for a single account answers with
// that account, because programs that report findings take it for the account
// that they speak for.
func (h *Handler) identity(p auth.Principal) identity {
	account := h.cfg.Account
	if len(p.Accounts) == 1 && p.Accounts[0] != auth.All {
		account = p.Accounts[0]
	}
	return identity{Arn: "arn:" + h.cfg.Partition + ":iam::" + account + ":user/parry/" + p.Name, UserID: p.KeyID, Account: account}
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64]
	}
	return s
}
