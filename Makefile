# Targets for people; `make help` lists them. Scripts in hack/ do what takes more than a line.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# The Go that go.mod names, where that of the machine is older or is told to be the only one: its library has known faults.
export GOTOOLCHAIN ?= $(shell sed -n 's/^toolchain //p' go.mod)+auto

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo v0.0.0-dev)
LDFLAGS := -s -w -X github.com/fairlead-lb/fairlead/internal/daemon.Version=$(VERSION)
# Tools that no code of ours imports.
TOOL = go tool -modfile=hack/tools/go.mod
# The suites that hold times and costs to bounds.
MEASURING = e2e/bgp e2e/lab e2e/layer2 e2e/load e2e/migrate e2e/scale e2e/upgrade
# What go test runs without the lab: everything but e2e.
UNIT = $(shell go list ./... | grep -v -e /e2e -e /internal/generated)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## The main job from nothing, told as it happens, tidied up (root)
	@build/lab demo

.PHONY: up
up: build ## Start a lab to explore, with a kubeconfig (root)
	@build/lab up

.PHONY: down
down: ## Stop the lab that `make up` started
	@[ ! -x build/lab ] || build/lab down

.PHONY: build
build: ## Build the binaries into build/ (RACE=1: with the race detector)
	@$(if $(RACE),hack/need.sh gcc)
	@echo "building Fairlead (some minutes the first time)"
	@for path in cmd/controller cmd/speaker cmd/kubectl-fairlead e2e/cmd/lab; do \
	  CGO_ENABLED=$(if $(RACE),1,0) go build $(if $(RACE),-race) -trimpath -ldflags '$(LDFLAGS)' -o build/$${path##*/} ./$$path; done
	@install -m 755 cmd/kubectl-fairlead/kubectl_complete-fairlead build/

.PHONY: test
test: verify test-unit test-e2e ## All: verify, unit, namespace and end-to-end tests (root)

.PHONY: test-unit
test-unit: ## Unit and namespace tests, with the race detector; a little fuzzing
	hack/need.sh gcc
	hack/vulncheck.sh
	go vet ./...
	go test -race -timeout 20m $(UNIT)
	@# A number of inputs, not a time: at a time's end Go 1.26 may call a target failed that is not (go.dev/issue/75804).
	hack/fuzz.sh 3000x
	go -C hack/tools vet ./...
	go -C hack/tools test ./...
	go -C site vet ./...
	go -C site test ./...

.PHONY: test-e2e
test-e2e: build ## The suite in the lab: real control plane, kube-proxy, kernel
	go test -count=1 -p 1 -timeout 30m $(shell go list ./e2e/... | grep -v $(addprefix -e ,$(MEASURING)))
	@# What is measured depends on what else the machine does, and its host: what missed a bound is run again, twice at most, and named.
	$(TOOL) gotestsum --format standard-quiet --rerun-fails=2 --rerun-fails-max-failures=30 --rerun-fails-run-root-test \
	  --packages='$(addprefix ./,$(MEASURING))' -- -count=1 -p 1 -timeout 30m

.PHONY: vulncheck
vulncheck: ## Known vulnerabilities that our code reaches (VULNCHECK=required: by Go's database or not at all)
	hack/vulncheck.sh

.PHONY: e2e-kind
e2e-kind: ## A life on a kind cluster: images, manifests, upgrade, faults
	hack/e2e-kind.sh

.PHONY: image
image: ## Build the two images, from scratch, into the local Docker
	hack/image.sh

.PHONY: image-archive
image-archive: ## Both images for all platforms, and SBOMs, into build/image (no Docker)
	hack/image.sh archive

.PHONY: plugin
plugin: ## The kubectl plugin for all platforms, and its krew manifest, into build/plugin
	hack/plugin.sh

.PHONY: bench
bench: ## Benchmarks; sizes are in their names
	go test -run '^$$' -bench . -benchmem $(UNIT)

.PHONY: measure-layer2
measure-layer2: build ## Layer 2's figures for docs/performance.md (root, hours)
	@rm -f build/layer2.md
	@status=0; FAIRLEAD_FIGURES=$(CURDIR)/build/layer2.md \
	  go test -v -count=1 -timeout 5h ./e2e/layer2 -args -full || status=$$?; \
	  echo; cat build/layer2.md; exit $$status

.PHONY: measure-bgp
measure-bgp: build ## BGP's figures for docs/performance.md (root)
	@rm -f build/bgp.md
	@status=0; FAIRLEAD_FIGURES=$(CURDIR)/build/bgp.md \
	  go test -v -count=1 -timeout 2h ./e2e/bgp -args -full || status=$$?; \
	  echo; cat build/bgp.md; exit $$status

.PHONY: compare
compare: build ## The same faults for Fairlead and the real MetalLB, into docs/performance.md (root, 18 minutes)
	go test -v -count=1 -timeout 1h ./e2e/migrate -run TestCompared -args -full -update

.PHONY: chaos
chaos: build ## A hostile day: each fault, then faults at random; SEED=n repeats one (root)
	go test -v -count=1 -timeout 2h ./e2e/chaos -args -full -update

.PHONY: load
load: build ## 10,000 users while nodes go and come back, for docs/performance.md (root, 10 minutes)
	go test -v -count=1 -timeout 30m ./e2e/load -run TestLoad -args -full -update

.PHONY: soak
soak: build ## An hour of normal life (SOAK=10m: less), for docs/performance.md (root)
	SOAK=$(or $(SOAK),1h) go test -v -count=1 -timeout 0 ./e2e/soak -run TestSoak $(if $(SOAK),,-args -update)

.PHONY: site
site: ## The documentation's site, into build/site (builds Hugo the first time)
	@rm -rf build/site
	go -C site tool hugo --destination ../build/site --panicOnWarning --noBuildLock

.PHONY: fuzz
fuzz: ## Fuzz every parser and the allocator, FUZZTIME (30s) each; FUZZ=package or name for some
	hack/fuzz.sh $(or $(FUZZTIME),30s) $(FUZZ)

.PHONY: generate
generate: ## Regenerate clients, CRDs, and the manifests from the chart
	hack/generate.sh

.PHONY: verify
verify: ## Fail on stale files, formatting, forbidden imports, a plugin for Linux only
	@! go list -deps ./internal/allocator ./internal/layer2 ./internal/bgp ./internal/bfd ./internal/gossip ./internal/lb ./internal/daemon | grep k8s.io || \
	  { echo "only api/, internal/k8s and internal/generated may import Kubernetes"; exit 1; }
	@dirty=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	  [ -z "$$dirty" ] || { echo "not gofmt-clean:"; echo "$$dirty"; exit 1; }
	@for os in darwin windows; do CGO_ENABLED=0 GOOS=$$os go build -o /dev/null ./cmd/kubectl-fairlead; done
	hack/verify.sh

.PHONY: clean
clean: down ## Remove what was built
	rm -rf build .cache
