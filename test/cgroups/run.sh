#!/bin/sh
# Runs the tests of control groups on a kernel of their own, as an ordinary process:
# user-mode-linux (Debian and Ubuntu: apt install user-mode-linux; UML= another path).
# It sees this machine's files, read-only, and has control groups of version 2 alone.
# Takes the program of the tests of internal/script, and what -test.run takes.
set -eu
program=$(realpath "$1")
tests=${2:-Group}
: "${PARRY_PYTHON:?set it to a Python with boto3}"
here=$(cd "$(dirname "$0")" && pwd)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The kernel hands words with = that it does not know to init, as its environment.
timeout "${LIMIT:-900}" "${UML:-linux.uml}" mem=3G root=none rootfstype=hostfs rootflags=/ ro "init=$here/init.sh" \
	"PROGRAM=$program" "FOLDER=$here/../../internal/script" "PARRY_PYTHON=$PARRY_PYTHON" "TESTS=$tests" \
	con=null con0=fd:0,fd:1 quiet </dev/null >"$log" 2>&1 || true
cat "$log"
grep -q '^the tests end with 0' "$log"
