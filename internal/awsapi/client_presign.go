package awsapi

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/parry-security/parry/internal/fault"
)

// presignedCopies are the operations that copy from another region, with the
// member that holds the request that the service makes there in our name.
// botocore signs it for the caller, and so do we.
var presignedCopies = map[string]string{
	"ec2:CopySnapshot": "PresignedUrl", "rds:CopyDBClusterSnapshot": "PreSignedUrl", "rds:CreateDBCluster": "PreSignedUrl",
	"rds:CopyDBSnapshot": "PreSignedUrl", "rds:CreateDBInstanceReadReplica": "PreSignedUrl",
	"rds:StartDBInstanceAutomatedBackupsReplication": "PreSignedUrl", "neptune:CopyDBClusterSnapshot": "PreSignedUrl",
	"neptune:CreateDBCluster": "PreSignedUrl", "docdb:CopyDBClusterSnapshot": "PreSignedUrl", "docdb:CreateDBCluster": "PreSignedUrl",
}

// emptyHash is the SHA-256 of no body.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// presignCopy puts the signed request of a copy between regions into the body.
// It is part of the wire only: no plan and no record holds it.
func (s *sending) presignCopy(ctx context.Context) error {
	member, ok := presignedCopies[s.p.name()]
	source, _ := s.p.input["SourceRegion"].(string)
	if !ok || source == "" {
		return nil
	}
	form, err := url.ParseQuery(string(s.msg.body))
	if err != nil {
		return fault.E(fault.Internal, "call "+s.p.name(), err)
	}
	ec2 := s.p.rt.service.Name == "ec2"
	if !ec2 { // botocore's own member there
		form.Del("SourceRegion")
	}
	if s.p.input[member] == nil {
		link, err := s.copyLink(ctx, form, source)
		if err != nil {
			return err
		}
		form.Set(member, link)
		if ec2 {
			form.Set("DestinationRegion", s.region)
		}
	}
	s.msg.body = []byte(form.Encode())
	return nil
}

// copyLink signs the same request for the source region, valid for an hour.
func (s *sending) copyLink(ctx context.Context, form url.Values, source string) (string, error) {
	ep, err := s.c.endpoints.find(s.p.rt.service, endpointCall{op: s.p.op.op, input: s.p.input, region: source, account: s.creds.Account})
	if err != nil {
		return "", err
	}
	query := maps.Clone(form)
	query.Set("DestinationRegion", s.region)
	query.Set("X-Amz-Expires", "3600")
	u := *ep.url
	if u.Path == "" {
		u.Path = "/"
	}
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return "", fault.E(fault.Invalid, "call "+s.p.name(), err)
	}
	link, _, err := s.c.signer.PresignHTTP(ctx, s.creds.sdk(), req, emptyHash, ep.signingName, ep.signingRegion, s.c.now(u.Host))
	if err != nil {
		return "", fault.E(fault.Internal, "sign request", err)
	}
	return link, nil
}
