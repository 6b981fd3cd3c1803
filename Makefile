# Everything a developer does with Meerkat. "make" alone lists it.

GO            ?= go
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# The release says what it was made from; its date is the commit's, so that a build repeats.
COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null)
DATE   := $(shell TZ=UTC0 git log -1 --date=format-local:'%Y-%m-%d %H:%M UTC' --format=%cd \
	2>/dev/null)

CONFIG   ?=
TAGS     ?=
OUT      ?= bin/meerkat
FUZZTIME ?= 10s
KILLS    ?= 200
CLOSES   ?= 100
CUTS     ?= 2000
SEEDS    ?= 20000
FILLS    ?= 200

.DEFAULT_GOAL := help

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## build bin/meerkat, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -tags "$(TAGS)" \
		-ldflags "-s -w -X main.commit=$(COMMIT) -X 'main.buildDate=$(DATE)'" \
		-o $(OUT) ./cmd/meerkat

.PHONY: run
run: build ## serve on 127.0.0.1:2181, data in ./meerkat-data; CONFIG=zoo.cfg for another
	bin/meerkat server $(CONFIG)

.PHONY: test
test: ## all tests
	$(GO) test ./...

# With every record read back before it is logged (proto.Verify).
# Without the suite of the foreign client: go-zookeeper races with itself when it reconnects
# (sendSetWatches against recvLoop), and the server is another process there.
.PHONY: race
race: ## all tests under the race detector
	$(GO) test -race -tags verify -timeout 20m $$($(GO) list ./... | grep -v /tools/compat/gozk$$)

# A package can be fuzzed for one target at a time, so they are looked for and run in turn.
.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME=10s
	@set -eu; \
	targets=$$(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sort); \
	test -n "$$targets" || { echo "no fuzz targets found"; exit 1; }; \
	echo "$$targets" | while IFS=: read -r file func; do \
		name=$${func#func }; package=$$(dirname "$$file"); \
		echo "fuzz $$package $$name for $(FUZZTIME)"; \
		$(GO) test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) "$$package" </dev/null; \
	done

.PHONY: lint
lint: ## formatting, go vet, golangci-lint
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || \
		{ echo "gofmt would change:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(GOLANGCI_LINT) run ./...

.PHONY: fmt
fmt: ## format all code
	gofmt -w .

.PHONY: check
check: lint test ## before every commit: lint and test

.PHONY: crash
crash: ## KILLS=200 times kill -9 under load, CUTS=2000 power cuts, FILLS=200 full disks, CLOSES=100 of large sessions
	MEERKAT_KILLS=$(KILLS) MEERKAT_CUTS=$(CUTS) MEERKAT_FILLS=$(FILLS) \
		$(GO) test -tags verify -count=1 -v -timeout 60m \
		-run 'Crash|Kill|PowerCut|FullDisk|FullTmpfs' ./server ./wal
	COMPAT=1 MEERKAT_CLOSES=$(CLOSES) $(GO) test -count=1 -v -timeout 60m -run TestKillAtClose \
		./tools/compat/takeover

# The machines of consensus so far: elections by lot SEEDS times, real ones a third as often.
.PHONY: sim
sim: ## SEEDS=20000 simulated ensembles
	MEERKAT_SEEDS=$(SEEDS) $(GO) test -count=1 -v -timeout 60m -run Sim ./zab

.PHONY: large
large: ## the tests of large loads, with their full numbers
	MEERKAT_FULL=1 $(GO) test -count=1 -timeout 60m ./server

.PHONY: bench
bench: ## all benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: compat
compat: ## foreign clients, and answers compared with the Java server's
	bash tools/compat/run.sh

.PHONY: versus
versus: ## measure Meerkat and the Java server in turns, 25 minutes
	bash tools/versus/run.sh --rows all
	bash tools/versus/large.sh
