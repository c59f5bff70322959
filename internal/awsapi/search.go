package awsapi

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

const (
	// clockSkew is by how much AWS's clock may be behind ours.
	clockSkew = 5 * time.Minute
	// maxSearchPages bounds the pages in which a call is looked for.
	maxSearchPages = 20
)

// fillToken gives an operation with an idempotency token one that a restart
// makes again, so that AWS itself recognises a repeated request. One that takes none
// and shows what it made with a text of the call gets such a text, where it has none,
// by which a restart finds it. Neither says anything of what is done, so the plan need
// not hold it.
func (p *applying) fillToken(d due, r request) {
	member, ok := r.op.TokenMember()
	if !ok {
		member, ok = apimodel.MarkMember(r.Service, r.Operation)
	}
	if ok && r.Input[member] == nil {
		r.Input[member] = p.token(d, r)
	}
}

// markPrefix begins a text that Parry puts on what it makes.
const markPrefix = "parry:"

// token is the same for a call whenever it is made for the execution, and no other's.
func (p *applying) token(d due, r request) string {
	named := fmt.Sprint(d.pc.Seq)
	if d.i < 0 {
		named = p.changeID(d, 0)
	}
	s := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s", p.auth.Execution, d.pc.Step, named))
	text := fmt.Sprintf("%x-%x-%x-%x-%x", s[0:4], s[4:6], s[6:8], s[8:10], s[10:16])
	if _, ok := r.op.TokenMember(); !ok {
		return markPrefix + text
	}
	return text
}

// found looks for what a call of unknown outcome has made, by the text that Parry has
// put on it. Nil means that it was not found, which is no proof that it was not made.
func (p *applying) found(ctx context.Context, d due, r request, rec remediation.Change) (*apimodel.Reply, error) {
	member, ok := apimodel.MarkMember(r.Service, r.Operation)
	if own := p.token(d, r); !ok || r.Input[member] != own || rec.Call.Input[member] != own {
		return nil, nil //nolint:nilnil // nothing is looked for: the text is the document's, and may be anybody's
	}
	search, ok := apimodel.Search(r.Call, rec.IntentAt.Add(-clockSkew))
	if !ok {
		return nil, nil //nolint:nilnil // as above
	}
	whole := apimodel.Reply{Output: map[string]any{}}
	for range maxSearchPages {
		page, err := p.lookFor(ctx, r, search)
		if err != nil {
			if code := codeOf(err); code == fault.Unavailable || code == fault.Exhausted {
				return nil, fault.Transient(fault.Errorf(fault.Unavailable, "look for "+r.Service+":"+r.Operation, "%w", err), 0)
			}
			return nil, nil //nolint:nilnil // it cannot be looked for, and the change stays uncertain
		}
		for k, v := range page.Output {
			if list, ok := v.([]any); ok {
				had, _ := whole.Output[k].([]any)
				v = append(had, list...)
			}
			whole.Output[k] = v
		}
		next, _ := page.Output["NextToken"].(string)
		if next == "" {
			break
		}
		search = search.Clone()
		search.Input["NextToken"] = next
	}
	answer, ok := apimodel.Found(r.Call, whole)
	if !ok {
		return nil, nil //nolint:nilnil // not found
	}
	answer.Output["ResponseMetadata"] = responseMetadata("")
	return &answer, nil
}

func (p *applying) lookFor(ctx context.Context, r request, c apimodel.Call) (apimodel.Reply, error) {
	c.As = ""
	look, err := p.g.resolve(ctx, r.id, ModeRead, c)
	if err != nil {
		return apimodel.Reply{}, err
	}
	look.As = r.As
	return p.g.read(ctx, p.forRead(look), look.from(r.by))
}
