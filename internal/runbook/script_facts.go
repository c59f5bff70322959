package runbook

import (
	"strings"
	"unicode/utf8"
)

// ScriptFacts is what is known of a script without running it. The analysis
// itself is not here, because it needs Python: whoever checks a document brings
// its results.
type ScriptFacts struct {
	// Error is set where the script is not Python; nothing else is known then.
	Error *ScriptError
	// Calls are the operations on AWS that the script names.
	Calls []ScriptCall
	// Imports are the modules that it imports, by their first name.
	Imports []string
	// Unresolved are the places from which it may call more than Calls.
	Unresolved []ScriptGap
	// Lists are the lists that its functions return as they are written.
	Lists []ScriptList
}

// MaxPayloadItems is how long a list may be that a script returns. Lists within what
// it returns are not counted.
//
// https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-executeScript.html
const MaxPayloadItems = 100

// ScriptList is a list that a function of a script returns.
type ScriptList struct {
	Function    string
	Line, Items int
}

// ScriptGap is a place in a script that an analysis cannot follow.
type ScriptGap struct {
	Line int
	What string
}

// ScriptError is where and why a script does not parse; both count from 1.
type ScriptError struct {
	Line, Column int
	Message      string
}

// ScriptCall is one operation that a script calls.
type ScriptCall struct {
	Service   string // boto3's name
	Operation string // put_bucket_policy or PutBucketPolicy
	Line      int    // in the script, from 1
}

// Scripts gives the inline Python scripts of d by step, for an analysis.
func (d *Document) Scripts() map[string]string {
	out := map[string]string{}
	for _, s := range d.all {
		if text, ok := s.Inputs["Script"].(string); ok && s.Action == ActionScript && len(refusal(s)) == 0 {
			out[s.Name] = text
		}
	}
	return out
}

// AttachedScripts gives the Python code of the steps whose script is an attachment,
// by step, from the contents of the document's files by name. What is not there is
// left out.
func (d *Document) AttachedScripts(files map[string][]byte) map[string]string {
	out := map[string]string{}
	for _, s := range d.all {
		name, _ := s.Inputs["Attachment"].(string)
		_, inline := s.Inputs["Script"]
		content, ok := files[name]
		if s.Action != ActionScript || inline || !ok || len(refusal(s)) > 0 {
			continue
		}
		if strings.HasSuffix(strings.ToLower(name), ".zip") {
			content, ok = handlerFile(s, content)
		}
		if ok && utf8.Valid(content) {
			out[s.Name] = string(content)
		}
	}
	return out
}

// handlerFile finds the file of a zip that a step's Handler, FILE.FUNCTION, names.
func handlerFile(s *Step, packed []byte) ([]byte, bool) {
	handler, _ := s.Inputs["Handler"].(string)
	dot := strings.LastIndex(handler, ".")
	files, err := UnpackAttachments(packed)
	if dot < 0 || err != nil {
		return nil, false
	}
	content, ok := files[strings.ReplaceAll(handler[:dot], ".", "/")+".py"]
	return content, ok
}
