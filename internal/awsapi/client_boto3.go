package awsapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
)

// What botocore does to single operations around its models. Runbooks were
// written for it, so the same is done here; each function says to what.

// adaptInput changes an input before it is validated. in is a copy.
func adaptInput(s *apimodel.Service, op *apimodel.Operation, in map[string]any) error {
	if err := alias(s, op, in); err != nil {
		return err
	}
	switch s.Name {
	case "s3":
		return adaptS3Input(op, in)
	case "s3control":
		return adaptS3Control(op, in)
	case "route53":
		shortenIDs(op, in)
	case "glacier":
		if in["accountId"] == nil {
			in["accountId"] = "-"
		}
	case "ec2":
		if op.Name == "RunInstances" {
			encodeUserData(in)
		}
	case "autoscaling":
		if op.Name == "CreateLaunchConfiguration" {
			encodeUserData(in)
		}
	}
	return nil
}

// shortenIDs takes the type off Route 53's ids, so that the answer of one
// operation ("/hostedzone/Z1") can be the input of another.
func shortenIDs(op *apimodel.Operation, in map[string]any) {
	if op.Input == nil {
		return
	}
	for _, m := range op.Input.Members {
		switch m.Shape.Name {
		case "ResourceId", "DelegationSetId", "ChangeId":
			if text, ok := in[m.Name].(string); ok {
				in[m.Name] = text[strings.LastIndex(text, "/")+1:]
			}
		}
	}
}

// alias accepts the names that botocore shows instead of the model's.
func alias(s *apimodel.Service, op *apimodel.Operation, in map[string]any) error {
	var model, shown string
	switch {
	case s.Name == "ec2":
		model, shown = "Filter", "Filters"
	case s.Name == "logs" && op.Name == "CreateExportTask":
		model, shown = "from", "fromTime"
	case s.Name == "cloudsearchdomain" && op.Name == "Search":
		model, shown = "return", "returnFields"
	default:
		return nil
	}
	if _, ok := op.Input.Member(model); !ok {
		return nil
	}
	if _, ok := op.Input.Member(shown); ok {
		return nil
	}
	v, ok := in[shown]
	if !ok {
		return nil
	}
	if _, both := in[model]; both {
		return fault.Errorf(fault.Invalid, "call "+s.Name+":"+op.Name, "parameter %q and its alias %q are both given", model, shown)
	}
	delete(in, shown)
	in[model] = v
	return nil
}

func encodeUserData(in map[string]any) {
	if b, ok := asBytes(in["UserData"]); ok {
		in["UserData"] = base64.StdEncoding.EncodeToString(b)
	}
}

// adaptMessage changes a request after the protocol wrote it.
func adaptMessage(p *prepared, m *message) error {
	if p.rt.service.Name == "apigateway" && m.header.Get("Accept") == "" {
		m.header.Set("Accept", "application/json")
	}
	if p.op.op.Name == "DescribeEndpoints" && (p.rt.service.Name == "dynamodb" || strings.HasPrefix(p.rt.service.Name, "timestream-")) {
		// The three whose model says that they find endpoints.
		m.header.Set("X-Amz-Api-Version", p.rt.service.APIVersion)
	}
	if p.name() == "cloudsearchdomain:Search" && m.query != "" { // a query may be long
		m.method, m.query, m.body = http.MethodPost, "", []byte(m.query)
		m.header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if p.rt.service.Name == "glacier" {
		m.header.Set("X-Amz-Glacier-Version", p.rt.service.APIVersion)
		if p.op.op.Name == "UploadArchive" || p.op.op.Name == "UploadMultipartPart" {
			addTreeHash(m)
		}
	}
	return addChecksum(p, m)
}

// adaptOutput changes an answer as botocore does after parsing it.
func adaptOutput(p *prepared, out map[string]any) {
	name := p.op.op.Name
	switch p.rt.service.Name {
	case "iam":
		decodePolicies(p.op.out, out)
	case "cloudformation":
		if text, ok := out["TemplateBody"].(string); ok && name == "GetTemplate" {
			var v map[string]any
			if json.Unmarshal([]byte(text), &v) == nil {
				out["TemplateBody"] = v
			}
		}
	case "ec2":
		if text, ok := out["Output"].(string); ok && name == "GetConsoleOutput" {
			if b, err := base64.StdEncoding.DecodeString(text); err == nil {
				out["Output"] = strings.ToValidUTF8(string(b), "\uFFFD")
			}
		}
	case "s3":
		adaptS3Output(name, out)
	}
}

// decodePolicies turns IAM's policy documents, which come as quoted JSON, into
// values, wherever they are in an answer.
func decodePolicies(n *node, out map[string]any) {
	if n == nil {
		return
	}
	for _, m := range n.members {
		if v, ok := out[m.Name]; ok {
			out[m.Name] = decodePolicy(m, v)
		}
	}
}

func decodePolicy(m *memberNode, v any) any {
	switch v := v.(type) {
	case string:
		if m.node.shape.Name != "policyDocumentType" {
			return v
		}
		text, err := url.PathUnescape(v)
		if err != nil {
			return v
		}
		var document any
		if json.Unmarshal([]byte(text), &document) != nil {
			return v
		}
		return document
	case map[string]any:
		if m.node.shape.Type == apimodel.Structure {
			decodePolicies(m.node, v)
		}
	case []any:
		for i := range v {
			v[i] = decodePolicy(m.node.elem, v[i])
		}
	}
	return v
}

// uuidFrom gives an identifier of the form that services demand of an
// idempotency token.
func uuidFrom(ids service.IDs) string {
	sum := sha256.Sum256([]byte(ids.NewID("token") + ids.NewID("token")))
	sum[6], sum[8] = sum[6]&0x0f|0x40, sum[8]&0x3f|0x80
	text := hex.EncodeToString(sum[:16])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
