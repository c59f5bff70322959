package ssm_test

import (
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
)

// TestAttach: only what the document declares, to the byte, and only by whoever may
// write documents.
func TestAttach(t *testing.T) {
	t.Parallel()
	w, h := ready(t)
	owner := admin().Principal
	f, err := h.Attach(t.Context(), owner, "Tag-Bucket", "", "helper.py", []byte("abc"))
	if err != nil || f.Size != 3 || string(w.files[f.SHA256]) != "abc" {
		t.Fatalf("%v %+v", err, f)
	}
	for name, c := range map[string]struct {
		who                     auth.Principal
		document, version, file string
		content                 string
		code                    fault.Code
		words                   string
	}{
		"operator":    {as("olga", auth.RoleOperator, auth.All).Principal, "Tag-Bucket", "", "helper.py", "abc", fault.Denied, "may not do document.write"},
		"one account": {as("ada", auth.RoleAdmin, dev).Principal, "Tag-Bucket", "", "helper.py", "abc", fault.Denied, "whole installation"},
		"other text":  {owner, "Tag-Bucket", "1", "helper.py", "abd", fault.Invalid, "declares ba7816bf"},
		"other file":  {owner, "Tag-Bucket", "", "../helper.py", "abc", fault.NotFound, "declares no file"},
		"version":     {owner, "Tag-Bucket", "7", "helper.py", "abc", fault.NotFound, "no version 7"},
		"document":    {owner, "Nothing", "", "helper.py", "abc", fault.NotFound, "does not exist"},
		"catalog":     {owner, "Parry-Shipped", "", "helper.py", "abc", fault.Conflict, "comes with Parry"},
	} {
		_, err := h.Attach(t.Context(), c.who, c.document, c.version, c.file, []byte(c.content))
		if !fault.Is(err, c.code) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
