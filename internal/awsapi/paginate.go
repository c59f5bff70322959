package awsapi

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/jmespath/go-jmespath"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// Caller is what pages and waits are read with: any session of the gate, so
// that guards, records and the throttle hold for each of their calls.
type Caller interface {
	Call(ctx context.Context, step string, c apimodel.Call) (apimodel.Reply, error)
}

// PageOptions bound a listing, in boto3's terms (PaginationConfig).
type PageOptions struct {
	// Step is the runbook's step that calls, "" outside one.
	Step string
	// PageSize asks AWS for so many items a page; 0 leaves it to AWS.
	PageSize int
	// MaxItems ends the listing after so many items; 0 = all.
	MaxItems int
	// MaxPages ends it with an error when more pages than that come: a listing
	// must not run for ever. Default 10,000.
	MaxPages int
	// StartingToken goes on where another listing stopped, also one of boto3 or
	// of the AWS CLI.
	StartingToken string
}

const defaultMaxPages = 10_000

// Listing is a listing put together, as boto3's build_full_result.
type Listing struct {
	Output map[string]any // result keys over all pages, the rest from the first
	// NextToken is the StartingToken that goes on, "" = there is no more. It is
	// in Output too.
	NextToken string
}

// Paginate calls page with each page of a listing, in order. An operation
// without pages is fault.NotFound, a token that comes twice fault.Internal, more
// than MaxPages fault.Exhausted; errors of caller and page are passed on. The
// token that it gives is "" unless MaxItems cut the listing short.
func (g *Gate) Paginate(ctx context.Context, caller Caller, call apimodel.Call, o PageOptions, page func(map[string]any) error) (string, error) {
	p, err := g.pager(call, o)
	if err != nil {
		return "", err
	}
	return p.run(ctx, caller, call, page)
}

// PaginateAll reads all pages and puts them together.
func (g *Gate) PaginateAll(ctx context.Context, caller Caller, call apimodel.Call, o PageOptions) (Listing, error) {
	p, err := g.pager(call, o)
	if err != nil {
		return Listing{}, err
	}
	out := map[string]any{}
	token, err := p.run(ctx, caller, call, func(page map[string]any) error { return p.add(out, page) })
	if err != nil {
		return Listing{}, err
	}
	for key, v := range p.once {
		if _, have := out[key]; !have {
			out[key] = v
		}
	}
	if token != "" {
		out["NextToken"] = token
	}
	return Listing{Output: out, NextToken: token}, nil
}

// pager is one listing on its way.
type pager struct {
	name  string
	model apimodel.Paginator
	opts  PageOptions
	once  map[string]any // non-aggregate keys of the first page
	items int
}

func (g *Gate) pager(call apimodel.Call, o PageOptions) (*pager, error) {
	s, op, err := g.cfg.Models.Find(call.Service, call.Operation)
	if err != nil {
		return nil, err
	}
	model, err := s.Paginator(op.Name)
	if err != nil {
		return nil, err
	}
	if o.MaxPages <= 0 {
		o.MaxPages = defaultMaxPages
	}
	return &pager{name: s.Name + ":" + op.Name, model: model, opts: o, once: map[string]any{}}, nil
}

func (p *pager) run(ctx context.Context, caller Caller, call apimodel.Call, page func(map[string]any) error) (string, error) {
	call = call.Clone()
	if call.Input == nil {
		call.Input = map[string]any{}
	}
	if p.opts.PageSize > 0 && p.model.LimitKey != "" {
		call.Input[p.model.LimitKey] = int64(p.opts.PageSize)
	}
	token, skip, err := p.start()
	if err != nil {
		return "", err
	}
	p.inject(call.Input, token)
	for n := range p.opts.MaxPages {
		reply, err := caller.Call(ctx, p.opts.Step, call)
		if err != nil {
			return "", err
		}
		rest, next, err := p.page(reply.Output, token, skip, n == 0)
		if err != nil {
			return "", err
		}
		if err := page(reply.Output); err != nil || rest != "" || next == nil {
			return rest, err
		}
		if token != nil && reflect.DeepEqual(token, next) && n > 0 {
			return "", fault.Errorf(fault.Internal, "list "+p.name, "the same next token was received twice")
		}
		token, skip = next, 0
		p.inject(call.Input, next)
	}
	return "", fault.Errorf(fault.Exhausted, "list "+p.name, "more than %d pages", p.opts.MaxPages).
		WithHint("narrow the listing, or limit it")
}

// page counts a page's items and cuts what is too much. rest is the token that
// a later listing starts with; next is nil at the end.
func (p *pager) page(out, token map[string]any, skip int, first bool) (rest string, next map[string]any, err error) {
	if first {
		if err := p.first(out, skip); err != nil {
			return "", nil, err
		}
	}
	items := p.primary(out)
	if over := p.items + length(items) - p.opts.MaxItems; p.opts.MaxItems > 0 && over > 0 {
		keep := length(items) - over
		set(out, p.model.ResultKeys[0], head(items, keep))
		cut := map[string]any{}
		for _, name := range p.model.InputTokens {
			cut[name] = token[name]
		}
		cut[truncated] = keep + skip
		rest, err = encodeToken(cut)
		return rest, nil, err
	}
	p.items += length(items)
	if next, err = p.next(out); err != nil || next == nil {
		return "", nil, err
	}
	if p.opts.MaxItems > 0 && p.items == p.opts.MaxItems {
		rest, err = encodeToken(next)
		return rest, nil, err
	}
	return "", next, nil
}

func (p *pager) primary(out map[string]any) any {
	if len(p.model.ResultKeys) == 0 {
		return nil
	}
	v, _ := jmespath.Search(p.model.ResultKeys[0], out)
	return v
}

// first keeps what is taken from the first page alone, and drops from a
// continued listing what was given before.
func (p *pager) first(out map[string]any, skip int) error {
	if p.opts.StartingToken != "" && len(p.model.ResultKeys) > 0 {
		set(out, p.model.ResultKeys[0], tail(p.primary(out), skip))
		for _, key := range p.model.ResultKeys[1:] {
			v, err := jmespath.Search(key, out)
			if err != nil {
				return fault.E(fault.Internal, "list "+p.name, err)
			}
			set(out, key, emptied(v))
		}
	}
	for _, key := range p.model.NonAggregateKeys {
		v, err := jmespath.Search(key, out)
		if err != nil {
			return fault.E(fault.Internal, "list "+p.name, err)
		}
		set(p.once, key, v)
	}
	return nil
}

// next finds the tokens of the next page.
func (p *pager) next(out map[string]any) (map[string]any, error) {
	if p.model.MoreResults != "" {
		more, err := jmespath.Search(p.model.MoreResults, out)
		if err != nil || !truthy(more) {
			return nil, err
		}
	}
	tokens, some := map[string]any{}, false
	for i, name := range p.model.InputTokens {
		if i >= len(p.model.OutputTokens) {
			break
		}
		v, err := jmespath.Search(p.model.OutputTokens[i], out)
		if err != nil {
			return nil, fault.E(fault.Internal, "list "+p.name, err)
		}
		tokens[name] = nil
		if truthy(v) {
			tokens[name], some = v, true
		}
	}
	if !some {
		return nil, nil //nolint:nilnil // nil is the value: there is no next page
	}
	return tokens, nil
}

func (p *pager) inject(in, tokens map[string]any) {
	for name, v := range tokens {
		if v == nil || v == "None" {
			delete(in, name)
			continue
		}
		in[name] = v
	}
}

// add puts a page to what came before: lists are joined, numbers added, text is
// put together.
func (p *pager) add(out, page map[string]any) error {
	for _, key := range p.model.ResultKeys {
		more, err := jmespath.Search(key, page)
		if err != nil {
			return fault.E(fault.Internal, "list "+p.name, err)
		}
		if more == nil {
			continue
		}
		have, err := jmespath.Search(key, out)
		if err != nil {
			return fault.E(fault.Internal, "list "+p.name, err)
		}
		switch m := more.(type) {
		case []any:
			if h, ok := have.([]any); ok {
				more = append(h, m...)
			}
		case string:
			if h, ok := have.(string); ok {
				more = h + m
			}
		case int64:
			if h, ok := have.(int64); ok {
				more = h + m
			}
		case float64:
			if h, ok := have.(float64); ok {
				more = h + m
			}
		default:
			if have != nil {
				continue
			}
		}
		set(out, key, more)
	}
	return nil
}

// set puts v at a path of names with dots, as botocore's set_value_from_jmespath.
func set(into map[string]any, path string, v any) {
	parts := strings.Split(path, ".")
	for _, part := range parts[:len(parts)-1] {
		inner, ok := into[part].(map[string]any)
		if !ok {
			inner = map[string]any{}
			into[part] = inner
		}
		into = inner
	}
	into[parts[len(parts)-1]] = v
}

func length(v any) int {
	switch v := v.(type) {
	case []any:
		return len(v)
	case map[string]any:
		return len(v)
	case string:
		return len(v)
	}
	return 0
}

func head(v any, n int) any {
	switch v := v.(type) {
	case []any:
		return v[:min(n, len(v))]
	case string:
		return v[:min(n, len(v))]
	}
	return v
}

func tail(v any, n int) any {
	switch v := v.(type) {
	case []any:
		return v[min(n, len(v)):]
	case string:
		return v[min(n, len(v)):]
	}
	return nil
}

func emptied(v any) any {
	switch v.(type) {
	case []any:
		return []any{}
	case string:
		return ""
	case int64, float64:
		return v
	}
	return nil
}

// truthy is Python's idea of it.
func truthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	}
	return length(v) > 0
}

// start gives the tokens that the listing begins with, and how many items of
// its first page were given before.
func (p *pager) start() (token map[string]any, skip int, err error) {
	if p.opts.StartingToken == "" {
		return nil, 0, nil
	}
	token, err = decodeToken(p.opts.StartingToken)
	if err == nil {
		var n int64
		if v, ok := token[truncated]; ok {
			if n, ok = asInt(v); !ok || n < 0 || n > 1<<31 {
				err = errors.New("it counts no items")
			}
		}
		delete(token, truncated)
		skip = int(n)
		for name := range token {
			if !contains(p.model.InputTokens, name) {
				err = fmt.Errorf("it is of another operation: it has %s", clip(printable(name)))
			}
		}
	}
	if err != nil {
		return nil, 0, fault.E(fault.Invalid, "list "+p.name, fmt.Errorf("bad starting token: %w", err)).
			WithHint("use the NextToken of an earlier listing of the same operation")
	}
	return token, skip, nil
}
