package awswall

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
)

// refusal builds an error answer in the form of the call's protocol.
func (c *call) refusal(status int, code, message string) reply {
	h := http.Header{"X-Amzn-Requestid": {c.requestID}}
	var body string
	switch c.protocol {
	case protoS3:
		h.Set("X-Amz-Request-Id", c.requestID)
		h.Set("Content-Type", "application/xml")
		body = fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message><Resource>%s</Resource><RequestId>%s</RequestId></Error>",
			escape(code), escape(message), escape("/"+c.bucket), escape(c.requestID))
	case protoEC2:
		h.Set("Content-Type", "text/xml")
		body = fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>%s</RequestID></Response>",
			escape(code), escape(message), escape(c.requestID))
	case protoQuery:
		h.Set("Content-Type", "text/xml")
		side := "Sender"
		if status >= 500 {
			side = "Receiver"
		}
		body = fmt.Sprintf("<ErrorResponse xmlns=\"https://%s.amazonaws.com/doc/\"><Error><Type>%s</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>%s</RequestId></ErrorResponse>",
			escape(c.service), side, escape(code), escape(message), escape(c.requestID))
	default:
		h.Set("Content-Type", "application/x-amz-json-1.1")
		h.Set("X-Amzn-Errortype", code)
		raw, _ := json.Marshal(map[string]string{"__type": code, "message": message, "Message": message}) // strings always marshal
		body = string(raw)
	}
	rep := reply{status: status, header: h, body: []byte(body), code: code}
	if c.method == http.MethodHead {
		rep.body = nil
	}
	return rep
}

// denied is AWS's refusal of an action, under the name that the service uses.
func (c *call) denied(message string) reply {
	code := "AccessDenied"
	switch {
	case c.protocol == protoJSON:
		code = "AccessDeniedException"
	case c.protocol == protoEC2:
		code = "UnauthorizedOperation"
	case c.service == "sns":
		code = "AuthorizationError"
	}
	return c.refusal(http.StatusForbidden, code, message)
}

// throttled is AWS's answer to too many requests, under the name that the
// service uses.
func (c *call) throttled() reply {
	switch {
	case c.protocol == protoS3:
		return c.refusal(http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
	case c.protocol == protoEC2:
		return c.refusal(http.StatusServiceUnavailable, "RequestLimitExceeded", "Request limit exceeded.")
	case c.protocol == protoQuery:
		return c.refusal(http.StatusBadRequest, "Throttling", "Rate exceeded")
	default:
		return c.refusal(http.StatusBadRequest, "ThrottlingException", "Rate exceeded")
	}
}

func (c *call) serverError() reply {
	code := "InternalFailure"
	if c.protocol == protoS3 {
		code = "InternalError"
	}
	return c.refusal(http.StatusInternalServerError, code, "We encountered an internal error. Please try again.")
}

// success is the answer of a call that returns nothing, in the form of the
// call's protocol.
func (c *call) success() reply {
	h := http.Header{"X-Amz-Request-Id": {c.requestID}, "X-Amzn-Requestid": {c.requestID}}
	switch c.protocol {
	case protoS3:
		return reply{status: http.StatusOK, header: h}
	case protoQuery, protoEC2:
		h.Set("Content-Type", "text/xml")
		op := escape(c.operation)
		return reply{status: http.StatusOK, header: h, body: fmt.Appendf(nil,
			"<%[1]sResponse><%[1]sResult/><ResponseMetadata><RequestId>%[2]s</RequestId></ResponseMetadata></%[1]sResponse>", op, escape(c.requestID))}
	default:
		h.Set("Content-Type", "application/x-amz-json-1.1")
		return reply{status: http.StatusOK, header: h, body: []byte("{}")}
	}
}

// notImplemented is what moto lacks. 501 is not retried by any client.
func (c *call) notImplemented(detail string) reply {
	msg := "The emulator does not implement " + c.service + ":" + c.operation
	if detail != "" {
		msg += " (" + detail + ")"
	}
	return c.refusal(http.StatusNotImplemented, "NotImplemented", msg)
}

// repair turns moto's HTML into an AWS error: a page for what it lacks, a page
// for what it broke on. test/motoext says which in X-Moto-Error; without it a
// 404 page and a 500 page both mean that moto lacks the operation.
func (w *Wall) repair(c *call, rep reply) reply {
	if rep.status < 400 || !strings.HasPrefix(rep.header.Get("Content-Type"), "text/html") {
		return rep
	}
	kind, detail, _ := strings.Cut(rep.header.Get("X-Moto-Error"), ":")
	detail = strings.TrimSpace(detail)
	switch {
	case looksLikeXML(rep.body):
		return rep // moto labels some S3 errors as text/html
	case kind != "" && kind != "NotImplementedError":
		w.cfg.Logger.Warn("moto broke on a call", "operation", c.service+":"+c.operation, "error", kind+": "+detail)
		out := c.serverError()
		out.header.Set("X-Moto-Error", rep.header.Get("X-Moto-Error"))
		return out
	case rep.status == http.StatusNotFound || rep.status >= 500:
		return c.notImplemented(detail)
	}
	return rep
}

func looksLikeXML(body []byte) bool {
	s := strings.TrimSpace(string(body[:min(len(body), 200)]))
	return strings.HasPrefix(s, "<?xml") || strings.HasPrefix(s, "<Error") || strings.HasPrefix(s, "{")
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}
