# Strait. `make` lists what there is.

SHELL      := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The folder of servers and tools, outside the tree: the rule of deploy/dev/servers.sh.
CACHE := $(or $(STRAIT_SERVERS),$(if $(filter 0,$(shell id -u)),/var/cache/strait/servers,$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/strait/servers))

LINT_VERSION := v2.15.0
LINT         := $(CACHE)/bin/golangci-lint-$(LINT_VERSION)

FOR   ?=
KAFKA ?=
CRM   ?= mariadb
ERP   ?= postgres
PARTS ?=
SEEDS ?= 200
SEED  ?=
PKG   ?= ./...
ARGS  ?=

# The servers that the demo needs for the chosen systems.
server-of-postgres := postgresql-15
server-of-mariadb  := mariadb
server-of-mysql    := mysql
# As CRM PostgreSQL is the newest one.
crm-server   = $(if $(filter postgres,$(CRM)),postgresql-18,$(server-of-$(CRM)))
demo-servers = $(sort $(crm-server) $(server-of-$(ERP)) $(if $(filter real,$(KAFKA)),kafka))

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: ## build bin/strait
	go build -trimpath -o bin/strait ./cmd/strait

.PHONY: demo
demo: ## two databases kept in agreement [FOR=40s CRM=mariadb|mysql|postgres ERP=… KAFKA=real|host:port]
	@deploy/dev/servers.sh $(demo-servers)
	go run ./deploy/demo $(if $(FOR),-for $(FOR)) -crm $(CRM) -erp $(ERP) $(if $(KAFKA),-kafka $(KAFKA)) $(ARGS)

.PHONY: check
check: lint ## quick checks that need no server: format, vet, lint, tests without servers
	go test -tags noservers $(PKG)

.PHONY: test
test: servers ## all tests, against real servers [PKG=./sinks/... ARGS='-run Name -v']
	go test -timeout 20m -p 2 $(ARGS) $(PKG)

.PHONY: race
race: servers ## all tests with the race detector
	go test -race -timeout 40m -p 2 $(ARGS) $(PKG)

.PHONY: bench
bench: servers ## measure the parts and the whole [PARTS='name …']
	go run ./deploy/bench $(PARTS)

.PHONY: sim
sim: ## look for schedules that break the reconciler [SEEDS=200 SEED=n]
	go test ./transform/... -run Simulation -count=1 -v -timeout 60m -sim.seeds=$(SEEDS) $(if $(SEED),-sim.seed=$(SEED))

.PHONY: lint
lint: $(LINT) ## format, go vet and golangci-lint
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted; run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go vet -tags noservers ./...
	$(LINT) run

.PHONY: servers
servers: ## fetch the servers that tests use, those that are missing
	@deploy/dev/servers.sh

.PHONY: clean
clean: ## remove what was built here; the servers' cache stays
	rm -rf bin
	go clean -testcache

# Named after its version, so that a new one is fetched when the version here changes.
$(LINT):
	@mkdir -p $(@D)
	@echo "installing golangci-lint $(LINT_VERSION) into $(@D)"
	@tmp=$$(mktemp -d $(@D)/.fetching-XXXXXX) && trap 'rm -rf "$$tmp"' EXIT \
		&& GOBIN="$$tmp" GOFLAGS= go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION) \
		&& mv "$$tmp/golangci-lint" $@
