#!/usr/bin/env python3
"""Lay out the public Automation documents that the corpus tests read.

    test/corpus/layout.py DEST [--mirror DIR]

DEST becomes what PARRY_CORPUS_DIR names. Each repository is read at a fixed
commit, from a bare clone under DIR where there is one (DIR/owner+name/repo or
DIR/name.git), otherwise from a clone made below DEST/.git-cache. Nothing of it
belongs into this repository: DEST is ignored by git when it is test/corpus/.data.

Scripts are put into their documents as each project's own build does it.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import textwrap

ASR = ("aws-solutions/automated-security-response-on-aws", "v3.1.5")
GUIDE = ("awsdocs/aws-systems-manager-user-guide", "dd495cca5833730e93837f1b3b66e8290a9bde2f")
SAMPLES = ("awslabs/aws-systems-manager", "81deddae")
GAMEDAY = ("esabitova/aws-digito-artifacts-gameday", "9aff43cc")

NAMESPACE = "corpus"
IS_DOCUMENT = re.compile(r"""schemaVersion["']?\s*:\s*["']?0\.3""")
SCRIPT = re.compile(r"^(?P<padding>\s+)%%SCRIPT=(?P<script>.*)%%")
ROLE = re.compile(r"^(?P<prefix>.*)%%ROLE=(?P<role>.*)%%(?P<suffix>.*)")
FENCE = re.compile(r"^(?P<indent>\s*)(?P<fence>`{3,})\s*\w*\s*$")


class Repository:
    """One repository at one commit, read through git without a work tree."""

    def __init__(self, name, commit, dest, mirror):
        self.name, self.commit = name, commit
        owner, short = name.split("/")
        for path in [mirror / f"{owner}+{short}" / "repo", mirror / f"{short}.git"] if mirror else []:
            if path.is_dir():
                self.dir = path
                return
        self.dir = dest / ".git-cache" / f"{short}.git"
        if not self.dir.is_dir():
            subprocess.run(["git", "clone", "--quiet", "--bare", f"https://github.com/{name}.git", str(self.dir)], check=True)

    def git(self, *args):
        done = subprocess.run(["git", f"--git-dir={self.dir}", *args], check=True, stdout=subprocess.PIPE)
        return done.stdout

    def files(self, *under):
        names = self.git("ls-tree", "-r", "-z", "--name-only", self.commit, "--", *under)
        return [n for n in names.decode().split("\0") if n]

    def text(self, path):
        return self.git("show", f"{self.commit}:{path}").decode("utf-8", "replace")


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def asr(repo, dest):
    """The solution's build puts scripts and role names into its templates."""
    count = 0
    for path in repo.files("source/remediation_runbooks", "source/playbooks"):
        parts = pathlib.PurePosixPath(path)
        if parts.suffix != ".yaml" or not IS_DOCUMENT.search(repo.text(path)):
            continue
        folder = str(parts.parent)
        if folder == "source/remediation_runbooks":
            scripts, out = f"{folder}/scripts", dest / "asr" / "remediation" / parts.name
        else:
            scripts = f"{folder}/scripts"
            out = dest / "asr" / "playbooks" / parts.parts[2] / parts.name
        write(out, substituted(repo, repo.text(path), scripts))
        count += 1
    return count


def substituted(repo, text, scripts):
    lines = []
    for line in text.split("\n"):
        script, role = SCRIPT.match(line), ROLE.match(line)
        if script:
            name = script["script"]
            source = f"source/playbooks/{name}" if name.startswith("common/") else f"{scripts}/{name}"
            lines += [script["padding"] + part for part in repo.text(source).split("\n")]
        elif role:
            lines.append(f"{role['prefix']}{role['role']}-{NAMESPACE}{role['suffix']}")
        else:
            lines.append(line)
    return "\n".join(lines)


def guide(repo, dest):
    """Every fenced block of the user guide that is a whole document."""
    count = 0
    for path in repo.files("doc_source"):
        if not path.endswith(".md"):
            continue
        text = repo.text(path)
        if not IS_DOCUMENT.search(text):
            continue
        page = pathlib.PurePosixPath(path).stem
        for number, block in enumerate(blocks(text), 1):
            suffix = "json" if block.lstrip().startswith("{") else "yaml"
            write(dest / "awsdocs" / f"{page}-{number}.{suffix}", block)
            count += 1
    return count


def blocks(text):
    found, inside, fence, indent = [], None, "", ""
    for line in text.split("\n"):
        match = FENCE.match(line)
        if inside is None and match:
            inside, fence, indent = [], match["fence"], match["indent"]
        elif inside is not None and match and match["fence"] == fence:
            block = textwrap.dedent("\n".join(inside)) + "\n"
            if IS_DOCUMENT.search(block) and "mainSteps" in block:
                found.append(block)
            inside = None
        elif inside is not None:
            inside.append(line[len(indent):] if line.startswith(indent) else line)
    return found


def samples(repo, dest):
    # Design/schema.json are skeletons without steps, from which documents are built.
    names = [n for n in repo.files("Documents") if not n.endswith("/Design/schema.json")]
    return plain(repo, dest / "others" / "samples", names, lambda text: text)


def gameday(repo, dest):
    cache = {}

    def put(text):
        lines = []
        for line in text.split("\n"):
            if "SCRIPT_PLACEHOLDER::" not in line:
                lines.append(line)
                continue
            module, function = line.strip().split("::")[1].split(".")
            if module not in cache:
                cache[module] = repo.text(f"documents/util/scripts/src/{module}.py").splitlines()
            lines += [" " * 8 + part for part in function_of(cache[module], function)]
        return "\n".join(lines)

    names = [n for n in repo.files("documents") if "/Documents/" in n]
    return plain(repo, dest / "others" / "gameday", names, put)


def function_of(lines, function):
    """What publish_documents.py takes: imports, or one function to the next def."""
    out, before, found = [], True, False
    for line in lines:
        if before and "def " in line:
            before = False
        if found and "def " in line:
            break
        if f"def {function}(" in line:
            found = True
        if before and function == "imports" or found:
            out.append(line)
    return out


def plain(repo, dest, names, change):
    count = 0
    for path in names:
        suffix = pathlib.PurePosixPath(path).suffix
        if suffix not in (".json", ".yml", ".yaml"):
            continue
        text = repo.text(path)
        if IS_DOCUMENT.search(text) and "mainSteps" in text:
            write(dest / path.replace("/", "__"), change(text))
            count += 1
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dest", type=pathlib.Path)
    parser.add_argument("--mirror", type=pathlib.Path)
    args = parser.parse_args()
    args.dest.mkdir(parents=True, exist_ok=True)
    for (name, commit), layout in ((ASR, asr), (GUIDE, guide), (SAMPLES, samples), (GAMEDAY, gameday)):
        count = layout(Repository(name, commit, args.dest, args.mirror), args.dest)
        print(f"{name}@{commit}: {count} documents", file=sys.stderr)


if __name__ == "__main__":
    main()
