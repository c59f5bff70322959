package runbook

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// script checks an aws:executeScript step and repeats what is known of its code.
func (c *checker) script(s *Step) {
	if s.Action != ActionScript || len(refusal(s)) > 0 {
		return
	}
	path := s.path + ".inputs"
	source, inline := s.Inputs["Script"].(string)
	attachment, attached := s.Inputs["Attachment"].(string)
	switch {
	case !inline && !attached:
		c.add(CodeInput, SeverityError, s.at("inputs"), path, "aws:executeScript needs Script or Attachment", "write the code under Script, or name one of the document's files")
	case attached && !ParseTemplate(attachment).HasReferences():
		c.attachment(s, attachment)
	}
	c.runtime(s)
	handler, _ := s.Inputs["Handler"].(string)
	if handler == "" {
		c.add(CodeInput, SeverityError, s.at("inputs"), path+".Handler", "a Python script needs the input Handler", "name the function that is called, for example Handler: script_handler")
	}
	facts, known := c.with.Scripts[s.Name]
	if !known {
		return
	}
	if facts.Error != nil {
		pos := s.scriptPos(facts.Error.Line)
		c.add(CodeScriptSyntax, SeverityError, pos, path+".Script", fmt.Sprintf("the script is not Python: line %d, column %d: %.200s", facts.Error.Line, facts.Error.Column, facts.Error.Message), "mend the script")
		return
	}
	if inline && !ParseTemplate(handler).HasReferences() {
		c.handler(s, handler, source)
	}
	c.scriptCalls(s, facts)
	c.scriptLists(s, handler, facts)
	for _, name := range facts.Imports {
		if !c.importable(name) {
			c.add(CodeScriptImport, SeverityWarning, s.at("inputs", "Script"), path+".Script", fmt.Sprintf("the script imports %.60q, which is neither in Python's library nor of boto3 or dateutil", name), "attach the module, or install it into the interpreter of scripts.python")
		}
	}
}

func (c *checker) attachment(s *Step, name string) {
	if !slices.ContainsFunc(c.doc.Files, func(f File) bool { return f.Name == name }) {
		c.add(CodeAttachment, SeverityWarning, s.at("inputs", "Attachment"), s.path+".inputs.Attachment", fmt.Sprintf("the document declares no file %.60q, so that its content cannot be checked", name), "declare it under files with checksums.sha256, or mend the name")
	}
}

// runtime warns of Pythons that are no longer kept: the script runs on the
// interpreter that Parry is configured with, in AWS it may not.
func (c *checker) runtime(s *Step) {
	runtime, _ := s.Inputs["Runtime"].(string)
	switch strings.ToLower(runtime) {
	case "python3.6", "python3.7", "python3.8":
		c.add(CodeOldRuntime, SeverityWarning, s.at("inputs", "Runtime"), s.path+".inputs.Runtime", runtime+" is no longer maintained; Parry runs the script on its own interpreter", "write Runtime: python3.11 after testing the script on it")
	}
}

// definition is a function or a name that is set at the left margin of a script.
var definition = regexp.MustCompile(`(?m)^(?:async\s+)?(?:def\s+(\w+)\s*\(|(\w+)\s*(?::[^=\n]+)?=|from\s+\S+\s+import\s+(.*))`)

func (c *checker) handler(s *Step, handler, source string) {
	name := handler[strings.LastIndex(handler, ".")+1:]
	for _, m := range definition.FindAllStringSubmatch(source, -1) {
		if m[1] == name || m[2] == name || strings.Contains(m[3], name) || strings.Contains(m[3], "(") || strings.Contains(m[3], "*") {
			return
		}
	}
	c.add(CodeInput, SeverityWarning, s.at("inputs", "Handler"), s.path+".inputs.Handler", fmt.Sprintf("the script defines no function %.60q", name), "name the function that is to be called")
}

// scriptLists warns of lists that are longer than the step can return.
func (c *checker) scriptLists(s *Step, handler string, facts ScriptFacts) {
	for _, l := range facts.Lists {
		if l.Items > MaxPayloadItems && l.Function == handler[strings.LastIndex(handler, ".")+1:] {
			c.add(CodeScriptReturn, SeverityWarning, s.scriptPos(l.Line), s.path+".inputs.Script", fmt.Sprintf("line %d returns a list of %d items, a script can return %d", l.Line, l.Items, MaxPayloadItems), listHint)
		}
	}
}

// listHint is what to do about a list that is too long.
const listHint = "return a map that holds the list, such as {'Items': [...]}"

// scriptCalls holds the operations that a script names against AWS's models.
func (c *checker) scriptCalls(s *Step, facts ScriptFacts) {
	if c.with.Models == nil {
		return
	}
	for _, call := range facts.Calls {
		if _, _, err := findOperation(c.with.Models, call.Service, call.Operation); err != nil {
			c.add(CodeScriptCall, SeverityWarning, s.scriptPos(call.Line), s.path+".inputs.Script", fmt.Sprintf("line %d calls %.60s.%.80s, which AWS's models do not have", call.Line, call.Service, call.Operation), "mend the name of the client or the operation")
		}
	}
}

// scriptPos gives the place of a line of the step's inline script, as far as the
// form of the text tells it: in a block its lines are the document's.
func (s *Step) scriptPos(line int) Pos {
	inputs, _ := s.node.get("inputs")
	n, ok := inputs.get("Script")
	if !ok {
		return s.at("inputs")
	}
	if n.block && line > 0 {
		return Pos{n.pos.Line + line, 1}
	}
	return n.pos
}

func (c *checker) importable(name string) bool {
	if slices.Contains(libraryModules, name) || strings.HasPrefix(name, "mypy_boto3") || name == "" {
		return true
	}
	return slices.ContainsFunc(c.doc.Files, func(f File) bool {
		// A zip may hold any module.
		return f.Name == name+".py" || strings.HasSuffix(strings.ToLower(f.Name), ".zip")
	})
}

// libraryModules are the modules of CPython's library that a script may find in
// the sandbox, and those that come with boto3. Only used for types, mypy_boto3
// modules are not there either and need not be.
var libraryModules = strings.Fields(`
__future__ _thread abc argparse array ast asyncio base64 binascii bisect builtins bz2 calendar cmath cmd code codecs
collections colorsys concurrent configparser contextlib contextvars copy copyreg csv ctypes dataclasses datetime decimal
difflib dis email encodings enum errno faulthandler fileinput fnmatch fractions functools gc getopt getpass gettext glob
graphlib gzip hashlib heapq hmac html http imaplib importlib inspect io ipaddress itertools json keyword linecache locale
logging lzma mailbox marshal math mimetypes mmap multiprocessing netrc numbers operator optparse os pathlib pickle pickletools
pkgutil platform plistlib poplib posixpath pprint profile pstats pwd py_compile queue quopri random re reprlib resource
runpy sched secrets select selectors shelve shlex shutil signal site smtplib socket socketserver sqlite3 ssl stat
statistics string stringprep struct subprocess symtable sys sysconfig syslog tarfile tempfile textwrap threading time
timeit token tokenize tomllib trace traceback tracemalloc types typing unicodedata unittest urllib uuid venv warnings wave
weakref webbrowser wsgiref xml xmlrpc zipapp zipfile zipimport zlib zoneinfo
boto3 botocore dateutil jmespath s3transfer six urllib3 typing_extensions attachments`)
