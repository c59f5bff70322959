package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
)

// protocolOrder is botocore's: the first that a service understands is spoken.
var protocolOrder = []string{"json", "rest-json", "rest-xml", "smithy-rpc-v2-cbor", "query", "ec2"}

// keys lists the keys of a JSON object in the order in which they are written.
func keys(object []byte) ([]string, error) {
	dec := json.NewDecoder(bytes.NewReader(object))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	var names []string
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		names = append(names, fmt.Sprint(key))
		var skip json.RawMessage
		if err := dec.Decode(&skip); err != nil {
			return nil, err
		}
	}
	return names, nil
}

type converter struct{ shapes map[string]*apimodel.Shape }

func convert(name string, m *modelJSON) (*apimodel.Service, error) {
	md := m.Metadata
	s := &apimodel.Service{
		Name: name, ID: md.ServiceID, APIVersion: md.APIVersion, EndpointPrefix: md.EndpointPrefix,
		SigningName: md.SigningName, SignatureVersion: md.SignatureVersion, Protocol: protocol(md), Protocols: md.Protocols,
		JSONVersion: md.JSONVersion, TargetPrefix: md.TargetPrefix, GlobalEndpoint: md.GlobalEndpoint,
		Auth: md.Auth, QueryCompatible: md.AWSQueryCompatible != nil,
		ClientContext: slices.Sorted(maps.Keys(m.ClientContext)),
	}
	if s.SigningName == "" {
		s.SigningName = md.EndpointPrefix
	}
	if len(md.XMLNamespace) > 0 && json.Unmarshal(md.XMLNamespace, &s.XMLNamespace.URI) != nil {
		var ns xmlNamespaceJSON
		if err := json.Unmarshal(md.XMLNamespace, &ns); err != nil {
			return nil, fmt.Errorf("xmlNamespace: %w", err)
		}
		s.XMLNamespace = apimodel.XMLNamespace(ns)
	}
	c := &converter{shapes: map[string]*apimodel.Shape{}}
	for shape := range m.Shapes {
		c.shapes[shape] = &apimodel.Shape{Name: shape}
	}
	for shape, j := range m.Shapes {
		if err := c.shape(c.shapes[shape], j); err != nil {
			return nil, err
		}
		s.Shapes = append(s.Shapes, c.shapes[shape])
	}
	sort.Slice(s.Shapes, func(i, j int) bool { return s.Shapes[i].Name < s.Shapes[j].Name })
	for name, j := range m.Operations {
		op, err := c.operation(name, j)
		if err != nil {
			return nil, err
		}
		s.Operations = append(s.Operations, op)
	}
	sort.Slice(s.Operations, func(i, j int) bool { return s.Operations[i].Name < s.Operations[j].Name })
	return s, nil
}

func protocol(md metadataJSON) string {
	for _, p := range protocolOrder {
		if slices.Contains(md.Protocols, p) {
			return p
		}
	}
	return md.Protocol
}

func (c *converter) ref(name string) (*apimodel.Shape, error) {
	s, ok := c.shapes[name]
	if !ok {
		return nil, fmt.Errorf("no shape %q", name)
	}
	return s, nil
}

func (c *converter) member(name string, j *memberJSON) (apimodel.Member, error) {
	shape, err := c.ref(j.Shape)
	if err != nil {
		return apimodel.Member{}, err
	}
	m := apimodel.Member{
		Name: name, Shape: shape, LocationName: j.LocationName, Location: j.Location, QueryName: j.QueryName,
		XMLNamespace: apimodel.XMLNamespace(j.XMLNamespace), IdempotencyToken: j.IdempotencyToken, JSONValue: j.JSONValue,
		HostLabel: j.HostLabel, Flattened: j.Flattened, Streaming: j.Streaming, XMLAttribute: j.XMLAttribute,
		Deprecated: j.Deprecated, EventPayload: j.EventPayload, EventHeader: j.EventHeader,
		ContextParam: j.ContextParam.Name,
	}
	return m, nil
}

func (c *converter) shape(s *apimodel.Shape, j *shapeJSON) (err error) {
	t, ok := apimodel.TypeOf(j.Type)
	if !ok {
		return fmt.Errorf("shape %s has unknown type %q", s.Name, j.Type)
	}
	*s = apimodel.Shape{
		Name: s.Name, Type: t, Required: j.Required, Enum: j.Enum, Min: j.Min.String(), Max: j.Max.String(), Pattern: j.Pattern,
		Payload: j.Payload, TimestampFormat: j.TimestampFormat, LocationName: j.LocationName,
		XMLNamespace: apimodel.XMLNamespace(j.XMLNamespace), ErrorCode: j.Error.Code, ErrorStatus: j.Error.HTTPStatusCode,
		Exception: j.Exception, Fault: j.Fault, SenderFault: j.Error.SenderFault, Retryable: j.Retryable != nil,
		Sensitive: j.Sensitive, Union: j.Union, Document: j.Document, EventStream: j.EventStream, Event: j.Event,
		Streaming: j.Streaming, Flattened: j.Flattened, Deprecated: j.Deprecated, RequiresLength: j.RequiresLength,
		Sparse: j.Sparse, Wrapper: j.Wrapper,
	}
	for _, name := range j.Members.names {
		ref := j.Members.byName[name]
		m, err := c.member(name, &ref)
		if err != nil {
			return fmt.Errorf("member %s of %s: %w", name, s.Name, err)
		}
		s.Members = append(s.Members, m)
	}
	for _, part := range []struct {
		name string
		from *memberJSON
		to   *apimodel.Member
	}{{"member", j.Member, &s.Elem}, {"key", j.Key, &s.Key}, {"value", j.Value, &s.Value}} {
		if part.from == nil {
			continue
		}
		if *part.to, err = c.member(part.name, part.from); err != nil {
			return fmt.Errorf("%s of %s: %w", part.name, s.Name, err)
		}
	}
	return nil
}

func (c *converter) operation(name string, j operationJSON) (*apimodel.Operation, error) {
	o := &apimodel.Operation{
		Name: name, WireName: j.Name, Method: j.HTTP.Method, URI: strings.TrimSpace(j.HTTP.RequestURI), ResponseCode: j.HTTP.ResponseCode,
		AuthType: j.AuthType, Auth: j.Auth, HostPrefix: j.Endpoint.HostPrefix, ReadOnly: j.ReadOnly, Idempotent: j.Idempotent,
		Deprecated: j.Deprecated, UnsignedPayload: j.UnsignedPayload,
		Checksum: apimodel.Checksum{
			MD5: j.HTTPChecksumRequired, Required: j.HTTPChecksum.Required,
			AlgorithmMember: j.HTTPChecksum.AlgorithmMember, ModeMember: j.HTTPChecksum.ModeMember,
		},
	}
	var err error
	if o.Context, err = contextParams(j); err != nil {
		return nil, fmt.Errorf("endpoint parameters of %s: %w", name, err)
	}
	if j.Input != nil {
		if o.Input, err = c.ref(j.Input.Shape); err != nil {
			return nil, fmt.Errorf("input of %s: %w", name, err)
		}
		o.InputName, o.InputXMLNS = j.Input.LocationName, apimodel.XMLNamespace(j.Input.XMLNamespace)
	}
	if j.Output != nil {
		if o.Output, err = c.ref(j.Output.Shape); err != nil {
			return nil, fmt.Errorf("output of %s: %w", name, err)
		}
		o.ResultWrapper = j.Output.ResultWrapper
	}
	for _, e := range j.Errors {
		shape, err := c.ref(e.Shape)
		if err != nil {
			return nil, fmt.Errorf("error of %s: %w", name, err)
		}
		o.Errors = append(o.Errors, shape)
	}
	return o, nil
}

func contextParams(j operationJSON) (params []apimodel.ContextParam, err error) {
	for _, name := range slices.Sorted(maps.Keys(j.StaticContext)) {
		p := apimodel.ContextParam{Name: name}
		switch v := j.StaticContext[name].Value.(type) {
		case string:
			p.Value = v
		case bool:
			p.Value, p.Bool = strconv.FormatBool(v), true
		default:
			return nil, fmt.Errorf("%s is %T", name, v)
		}
		params = append(params, p)
	}
	for _, name := range slices.Sorted(maps.Keys(j.OperationContext)) {
		params = append(params, apimodel.ContextParam{Name: name, Path: j.OperationContext[name].Path})
	}
	return params, nil
}
