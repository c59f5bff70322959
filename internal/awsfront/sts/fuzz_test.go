package sts_test

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/sts"
)

// FuzzServe sends any form: the answer is XML that can be read whole, and what is wrong
// with the form is the caller's fault.
func FuzzServe(f *testing.F) {
	f.Add("", "Action=GetCallerIdentity&Version=2011-06-15")
	f.Add("Action=GetCallerIdentity", "")
	f.Add("Action=%zz", "&&;=")
	f.Add("", "Action=%00%ff<x>&Action=b")
	h, err := sts.New(sts.Config{Account: "999988887777"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, query, body string) {
		r := httptest.NewRequestWithContext(auth.WithPrincipal(t.Context(), auth.Principal{Name: "a", KeyID: "PARRYA", Accounts: []string{"111122223333"}}), http.MethodPost, "http://parry/", strings.NewReader(body))
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK && w.Code != http.StatusBadRequest {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		in := xml.NewDecoder(w.Body)
		for {
			_, err := in.Token()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatalf("%d, no XML: %v", w.Code, err)
			}
		}
	})
}
