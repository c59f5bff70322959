package awswall

import (
	"context"
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
)

// alwaysOn are the Regions that AWS has on in every account of its first partition.
// Whoever calls another is asked about.
const alwaysOn = "ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-southeast-1 ap-southeast-2 ca-central-1 eu-central-1 eu-north-1 " +
	"eu-west-1 eu-west-2 eu-west-3 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2"

// regionsXML is what DescribeRegions answers.
type regionsXML struct {
	Regions []struct {
		Name   string `xml:"regionName"`
		Status string `xml:"optInStatus"`
	} `xml:"regionInfo>item"`
}

// regionOff gives the refusal of a call to a Region that is turned off in the caller's
// account, nil otherwise. AWS has no credentials of the account there, and each kind of
// service says so in words of its own.
func (w *Wall) regionOff(ctx context.Context, c *call) *reply {
	if c.who == nil || c.region == "" || slices.Contains(strings.Fields(alwaysOn), c.region) {
		return nil
	}
	rep, err := w.ask(ctx, c.who.account, "ec2", http.MethodPost, "/", "Action=DescribeRegions&Version=2016-11-15&AllRegions=true")
	var all regionsXML
	if err == nil {
		err = xml.Unmarshal(rep.body, &all)
	}
	if err != nil || rep.status != http.StatusOK {
		w.cfg.Logger.Warn("moto could not be asked about Regions", "status", rep.status, "error", err)
		refused := c.refusal(http.StatusServiceUnavailable, "ServiceUnavailable", "The emulator could not be asked about Regions.")
		return &refused
	}
	for _, r := range all.Regions {
		if r.Name == c.region && r.Status == "not-opted-in" {
			refused := c.strange()
			return &refused
		}
	}
	return nil
}

// strange is how a service answers credentials that it does not know.
func (c *call) strange() reply {
	switch c.protocol {
	case protoEC2:
		return c.refusal(http.StatusUnauthorized, "AuthFailure", "AWS was not able to validate the provided access credentials")
	case protoQuery:
		return c.refusal(http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid.")
	case protoS3:
		return c.refusal(http.StatusBadRequest, "InvalidToken", "The provided token is malformed or otherwise invalid.")
	case protoJSON:
	}
	return c.refusal(http.StatusForbidden, "UnrecognizedClientException", "The security token included in the request is invalid.")
}
