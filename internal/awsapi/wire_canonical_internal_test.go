package awsapi

import (
	"bytes"
	"crypto/md5" //nolint:gosec // as the services ask
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// sentOtherwise are the headers that one side alone sends, or each in its own
// way, and that are not signed. Whatever is signed is compared.
var sentOtherwise = map[string]bool{
	"User-Agent": true, "Accept-Encoding": true, "Connection": true, // the HTTP library's
	"Authorization":  true, // taken apart in canonical
	"Content-Length": true, // follows from the body, which is compared
	"Expect":         true, // boto3 asks S3 whether to go on with a large body; ours is in memory
}

// canonical takes a request apart into what has to be equal.
func canonical(r *wireRequest) map[string]any {
	path, query, _ := strings.Cut(r.uri, "?")
	pairs := []string{}
	for pair := range strings.SplitSeq(query, "&") {
		k, v, _ := strings.Cut(pair, "=")
		k, _ = url.QueryUnescape(k)
		v, _ = url.QueryUnescape(v)
		if pair != "" {
			pairs = append(pairs, k+"="+v)
		}
	}
	sort.Strings(pairs)
	signed, signature := "", ""
	for part := range strings.SplitSeq(r.header.Get("Authorization"), ", ") {
		if rest, ok := strings.CutPrefix(part, "SignedHeaders="); ok {
			signed = rest
		}
		if rest, ok := strings.CutPrefix(part, "Signature="); ok {
			signature = rest
		}
	}
	scope, _, _ := strings.Cut(r.header.Get("Authorization"), ",")
	headers := map[string]string{}
	for name, values := range r.header {
		if sentOtherwise[name] && !slices.Contains(strings.Split(signed, ";"), strings.ToLower(name)) {
			continue
		}
		headers[name] = checked(name, strings.Join(values, ","), r.body)
	}
	return map[string]any{
		"method": r.method, "path": path, "query": pairs, "headers": headers, "body": meaning(r),
		"scope": scope, "signed headers": signed, "signature": signature,
	}
}

// checked replaces a checksum that fits the body by a word: bodies that mean the
// same may differ in bytes.
func checked(name, value string, body []byte) string {
	if algorithm, ok := strings.CutPrefix(name, "X-Amz-Checksum-"); ok {
		if h, known := newChecksum(strings.ToUpper(algorithm)); known {
			_, _ = h.Write(body)
			if base64.StdEncoding.EncodeToString(h.Sum(nil)) == value {
				return "fits the body"
			}
		}
	}
	if sum := md5.Sum(body); name == "Content-Md5" && base64.StdEncoding.EncodeToString(sum[:]) == value { //nolint:gosec // as above
		return "fits the body"
	}
	return value
}

// dropBodyHash leaves out what follows from the bytes of a body.
func dropBodyHash(requests ...map[string]any) {
	for _, r := range requests {
		delete(r, "signature")
		if h, ok := r["headers"].(map[string]string); ok {
			delete(h, "X-Amz-Content-Sha256")
		}
	}
}

// meaning parses a body, so that only what it says is compared.
func meaning(r *wireRequest) any {
	body := r.body
	if len(body) == 0 {
		return nil
	}
	switch kind := r.header.Get("Content-Type"); {
	case strings.Contains(kind, "urlencoded"):
		pairs := strings.Split(string(body), "&")
		for i := range pairs {
			k, v, _ := strings.Cut(pairs[i], "=")
			v, _ = url.QueryUnescape(v)
			pairs[i] = k + "=" + sameText(v)
		}
		sort.Strings(pairs)
		return pairs
	case body[0] == '<':
		return elementsOf(body)
	case body[0] == '{' || body[0] == '[':
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.UseNumber()
		var v any
		if dec.Decode(&v) == nil {
			return sameNumbers(v)
		}
	}
	return string(body)
}

// sameNumbers writes numbers in one way: 1, 1.0 and 1e0 mean the same.
func sameNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		if f == float64(int64(f)) && f < 1<<53 && f > -1<<53 {
			return int64(f)
		}
		return strconv.FormatFloat(f, 'g', -1, 64)
	case map[string]any:
		for k := range v {
			v[k] = sameNumbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = sameNumbers(v[i])
		}
	}
	return v
}

// sameText writes a float of text in one way, and the parameters of a link in
// one order.
func sameText(text string) string {
	if strings.ContainsAny(text, ".e") {
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			text = strconv.FormatFloat(f, 'g', -1, 64)
		}
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil && len(text) > 20 {
		text = strconv.FormatFloat(n, 'g', -1, 64)
	}
	if head, query, ok := strings.Cut(text, "/?"); ok && strings.HasPrefix(text, "http") {
		pairs := strings.Split(query, "&")
		sort.Strings(pairs)
		return head + "/?" + strings.Join(pairs, "&")
	}
	return text
}

// elementsOf gives an XML document as a sorted list of paths with their texts.
func elementsOf(body []byte) any {
	dec := xml.NewDecoder(bytes.NewReader(body))
	var path, out []string
	for {
		tok, err := dec.RawToken()
		if err != nil {
			sort.Strings(out)
			return out
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			path = append(path, tok.Name.Local)
			for _, a := range tok.Attr {
				out = append(out, strings.Join(path, "/")+"@"+a.Name.Space+":"+a.Name.Local+"="+a.Value)
			}
			out = append(out, strings.Join(path, "/"))
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.CharData:
			out = append(out, strings.Join(path, "/")+"="+sameText(string(tok)))
		}
	}
}
