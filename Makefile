# StreamBus: `make` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

BIN      := $(CURDIR)/bin/streambus
FUZZTIME ?= 10s
BENCH    ?= .
ROWS     ?=
PAIRS    ?= 5
SIZE     ?= 2000000000
OUT      ?= bin/benchmarks.md
ARGS     ?=
SEED     ?= 0
N        ?= 50
SIMARGS  ?=

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'
	@echo "  Variables: ARGS='--log-level warn' (run, cluster) or ARGS=-dir=/data (bench), FUZZTIME=$(FUZZTIME) (fuzz), BENCH=$(BENCH) (bench-go), RUN=Test.. (compat)"

.PHONY: run
run: build ## Build and start a broker on 127.0.0.1:9092, data in ./data (Ctrl-C ends it)
	@exec $(BIN) serve $(ARGS)

.PHONY: cluster
cluster: build ## Build and start three nodes on ports 9092, 9102 and 9112, data in ./data/1 to 3 (Ctrl-C ends them)
	@exec cmd/streambus/cluster.sh $(BIN) $(ARGS)

.PHONY: build
build: ## Build bin/streambus
	@go build -o $(BIN) ./cmd/streambus

.PHONY: setup
setup: ## Install what the tests need beside Go (apt as root: kcat, Java, Maven, strace)
	@compat-tests/setup.sh

.PHONY: test
test: build setup ## Run all tests, the stock clients' too
	go test ./...
	cd compat-tests && STREAMBUS_BIN=$(BIN) go test -count=1 -timeout=40m ./...

.PHONY: check
check: ## Format, vet (linux and darwin), staticcheck, import layers
	@files="$$(gofmt -l .)"; if [ -n "$$files" ]; then echo "not gofmt-ed:"; echo "$$files"; exit 1; fi
	go vet ./...
	GOOS=darwin go vet ./...
	go tool staticcheck ./...
	go vet -tags=clockstep ./internal/env
	go test -tags=clockstep ./internal/env
	go test ./internal/arch/... ./docs/...
	cd compat-tests && go vet ./... && GOOS=darwin go vet ./...
	cd compat-tests/drivers/go && go vet ./... && go vet -modfile=sarama-1.45.mod -tags=sarama_old ./... && GOOS=darwin go vet ./...
	tool="$$(go tool -n staticcheck)"; cd compat-tests && "$$tool" ./...

.PHONY: race
race: ## Run the product's tests under the race detector, invariants on
	go test -race ./...

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME
	@grep -rl --include='*_test.go' '^func Fuzz' . | grep -v '^./compat-tests/' | sort | while read -r file; do \
	  sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$$file" | while read -r target; do \
	    echo "$$(dirname "$$file") $$target"; \
	    go test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) "$$(dirname "$$file")" </dev/null; \
	  done; \
	done

.PHONY: sim
sim: ## Run N seeds of the simulated cluster from SEED on (a random one), see docs/HACKING.md
	go test ./sim -count=1 -timeout=0 -run='^TestManySeeds$$' -args -seed=$(SEED) -n=$(N) $(SIMARGS)

.PHONY: sim-bugs
sim-bugs: ## Plant known bugs one after the other and see that the simulated cluster finds each
	go test -tags=plantedbugs ./sim -count=1 -timeout=0 -run='^TestPlantedBugsAreFound$$'

.PHONY: bench
bench: build ## Measure the figures to be reached beside a ceiling and Apache Kafka, and write the table (ROWS=regexp, PAIRS=n, SIZE=bytes, OUT=file)
	@go build -o bin/ ./bench/ceiling ./bench/compare
	@exec bin/compare -targets -streambus='$(BIN)' -ceiling='$(CURDIR)/bin/ceiling' -rows='$(ROWS)' -pairs='$(PAIRS)' -size='$(SIZE)' -out='$(OUT)' $(ARGS)

.PHONY: bench-go
bench-go: ## Run the benchmarks that live beside the code (BENCH=regexp)
	go test -run='^$$' -bench='$(BENCH)' -benchmem ./...

.PHONY: compat
compat: build setup ## Run the stock clients' tests alone, with every line of their output (RUN=regexp)
	cd compat-tests && STREAMBUS_BIN=$(BIN) go test -v -count=1 -timeout=60m -run='$(RUN)' ./...

.PHONY: compat-full
compat-full: build setup ## Run the stock clients' tests at the sizes of the goals, franz-go's own suite with all its records
	cd compat-tests && COMPAT_FULL=1 STREAMBUS_BIN=$(BIN) go test -v -count=1 -timeout=120m -run='$(RUN)' ./...

.PHONY: failover
failover: build setup ## Measure failover of three nodes, each fault thirty times, and print the table
	cd compat-tests && COMPAT_FULL=1 STREAMBUS_BIN=$(BIN) go test -v -count=1 -timeout=180m -run='TestFailover|TestControlledRestarts' .

.PHONY: chaos
chaos: build setup ## Three nodes under faults of all kinds (DURATION=1h, SEED=n, CHAOS_FAULTS=words of their names)
	cd compat-tests && DURATION=$(or $(DURATION),1h) STREAMBUS_BIN=$(BIN) go test -v -count=1 -timeout=0 -run='TestChaos$$' .

.PHONY: soak
soak: build ## One node with all that its storage does, killed and started again all the time (DURATION=10m, SEED=n)
	cd compat-tests && DURATION=$(or $(DURATION),10m) STREAMBUS_BIN=$(BIN) go test -v -count=1 -timeout=0 -run='TestSoak$$' .

.PHONY: clean
clean: ## Remove what was built (not ./data)
	rm -rf bin
