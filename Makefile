# The targets a newcomer needs are demo and test; both install what is missing.
GO      ?= go
PREFIX  ?= /usr/local
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

export CGO_ENABLED ?= 0

LDFLAGS := -X banger/internal/version.version=$(VERSION)
BUILD   := $(GO) build -trimpath
# Remote hosts may be of another architecture than this one.
OTHER   := $(filter-out $(shell $(GO) env GOARCH),amd64 arm64)
LINT    := $(GO) tool -modfile=tools.mod golangci-lint

# Tests mount file systems, make cgroups and start processes of other users: for
# an ordinary user they are built as that user and run as root.
# What root puts into caches there lies apart from the user's.
ROOT := $(CURDIR)/.cache/root
TEST := $(GO) test $(if $(filter-out 0,$(shell id -u)),-exec 'sudo -E env PATH=$(PATH) GOCACHE=$(ROOT) \
	XDG_CACHE_HOME=$(ROOT)/cache npm_config_cache=$(ROOT)/npm')
# The race detector needs cgo. It looks at our code and at what it calls, but not into
# the C of SQLite, which is the largest part of a build and slow with it. No package with
# generic functions may be left out: of their copies the linker takes one for all. A
# process need not sleep a second before it ends. go vet is part of check.
RACE_ENV := CGO_ENABLED=1 GORACE=atexit_sleep_ms=0
RACE     := -race -vet=off -gcflags=modernc.org/sqlite/lib=-race=false
# The programs that tests run: built once, then copied by each package; see test/programs,
# which has the same flags.
PROGRAMS := $(CURDIR)/.cache/programs
test unit e2e fault interop bench kvm-lab: export BANGER_TEST_PROGRAMS = $(PROGRAMS)
# In this order packages begin: the longest alone at the end would leave a CPU idle.
FIRST := ./test/fault ./test/kvmlab ./test/e2e ./test/remote ./internal/machine/qemu \
	./internal/agent/shim ./internal/session ./internal/image ./internal/sessiondir ./internal/store
FIRST_UNIT := ./internal/session ./internal/agent/shim ./internal/store ./internal/cli

.PHONY: all build programs demo test unit check e2e fuzz fault interop bench kvm-lab generate install install-deps clean

all: build

# The guest's binaries are read into every initrd, so they carry no symbols; and they
# are static, whatever else is built: a guest's libraries are its own.
build:
	$(BUILD) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/banger
	CGO_ENABLED=0 $(BUILD) -ldflags '-s -w $(LDFLAGS)' -o bin/ ./cmd/banger-agent ./cmd/banger-shim
	for arch in $(OTHER); do CGO_ENABLED=0 GOARCH=$$arch $(BUILD) -ldflags '-s -w $(LDFLAGS)' -o bin/$$arch/ ./cmd/banger-agent ./cmd/banger-shim || exit 1; done

programs:
	CGO_ENABLED=0 $(BUILD) -ldflags '-s -w' -o $(PROGRAMS)/ ./cmd/banger ./cmd/banger-agent ./cmd/banger-shim
	$(RACE_ENV) $(GO) build $(filter-out -vet=off,$(RACE)) -o $(PROGRAMS)/race/ ./cmd/banger ./cmd/banger-shim

install-deps:
	./scripts/install-deps run

demo: install-deps build
	./scripts/demo.sh

# Real VMs included. Two packages at a time: each may have a machine running.
test: build programs
	./scripts/install-deps run test
	$(RACE_ENV) $(TEST) $(RACE) -p 2 -timeout 40m $(FIRST) ./...

# The fast part of it, as an ordinary user, without a VM and without a network. A file of
# tests that need more of those, or long, says so: //go:build !unit; and with -short tests
# with generated input take less of it.
# More packages at a time than CPUs: many tests wait for processes.
unit: programs
	{ echo $(FIRST_UNIT); $(GO) list ./... | grep -v '^banger/\(test\|bench\)\b'; } | $(RACE_ENV) xargs $(GO) test $(RACE) -tags unit -short -p 4 -timeout 5m

# go generate must change nothing, whatever else is not committed yet. With the flag,
# what is compiled here is what build needs.
check: export GOFLAGS += -trimpath
check:
	./scripts/install-deps check
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
		test -z "$$unformatted" || { echo "not formatted: $$unformatted"; exit 1; }
	shellcheck scripts/* findings/* .ci/run internal/machine/remote/probe.sh
	$(GO) vet ./...
	$(GO) vet -tags interop ./test/interop ./internal/session
	$(GO) vet -tags lab ./test/kvmlab
	$(LINT) run
	@before=$$(git status --porcelain; git diff); $(GO) generate ./... && \
		test "$$before" = "$$(git status --porcelain; git diff)" || { git diff --stat; echo 'generated files were stale'; exit 1; }

e2e: install-deps build programs
	$(TEST) -count=1 -timeout 15m ./test/e2e/...

# At full size; make test runs the same tests reduced. Each has a time limit of its own,
# and one that fails ends none of the others.
fault: export BANGER_FAULT_FULL = 1
fault: build programs
	./scripts/install-deps run test
	@failed=; for test in $$($(GO) test -list '^Test' ./test/fault | grep '^Test'); do \
		$(TEST) -count=1 -timeout 30m -v -run "^$$test\$$" ./test/fault || failed="$$failed $$test"; done; \
		test -z "$$failed" || { echo "failed:$$failed"; exit 1; }
	$(TEST) -count=1 -timeout 30m -v -run 'AnyNumberOfEnded|NextWriterIsGranted' ./internal/session ./internal/agent/shim

# BENCH picks some of it, by the name of a benchmark and its place: BENCH=Echo/host
BENCH ?= .
bench: build programs
	./scripts/install-deps run bench
	$(TEST) -timeout 40m -run '^$$' -bench '$(BENCH)' -benchtime 1x -v ./bench/

# A host with a real systemd, in which machines have KVM. With the tag it has all its tests,
# without it, in make test, that of one user's machines.
kvm-lab: install-deps build programs
	$(TEST) -tags lab -count=1 -timeout 40m -v ./test/kvmlab

# With programs by others, which it installs; their versions and the outcomes are committed.
interop: export BANGER_INTEROP_RESULTS = $(CURDIR)/test/interop/RESULTS.md
interop: build programs
	./scripts/install-deps run test interop
	$(TEST) -tags interop -count=1 -timeout 20m -v ./test/interop
	$(TEST) -tags interop -count=1 -timeout 20m -v -run Podman ./internal/session

# Each fuzz test for a while; go test takes one target of one package at a time.
fuzz:
	./scripts/fuzz

generate:
	$(GO) generate ./...

install: build
	install -D -m 0755 bin/banger $(DESTDIR)$(PREFIX)/bin/banger
	install -D -m 0755 -t $(DESTDIR)$(PREFIX)/libexec/banger bin/banger-agent bin/banger-shim
	for kind in user/banger system/banger@; do \
		install -D -m 0644 systemd/$${kind#*/}.service $(DESTDIR)$(PREFIX)/lib/systemd/$$kind.service && \
		sed -i 's|/usr/local/bin|$(PREFIX)/bin|g' $(DESTDIR)$(PREFIX)/lib/systemd/$$kind.service || exit 1; done
	for arch in $(OTHER); do install -D -m 0755 -t $(DESTDIR)$(PREFIX)/libexec/banger/$$arch bin/$$arch/*; done

clean:
	rm -rf bin .cache
