# Every line calls cargo or prefect-e2e; what is missing is fetched or named by the program itself.
SCENARIO ?= sqlite
TARGET ?= auto
ARGS ?=
PREFECT_E2E = cargo run --package prefect-e2e --

.PHONY: help e2e matrix list test conformance bench lint kind-up kind-down

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

e2e: ## Prove one scenario: make e2e SCENARIO=sqlite [TARGET=embedded|kind|kubeconfig] [ARGS=...]
	$(PREFECT_E2E) run $(SCENARIO) --target $(TARGET) $(ARGS)

matrix: ## Prove every scenario
	$(PREFECT_E2E) run --target $(TARGET) $(ARGS)

list: ## List the scenarios
	$(PREFECT_E2E) list

test: ## Run all tests
	cargo test --workspace

# the cluster has to be named here: one that the environment happens to name is not touched
conformance: ## Compare behaviours with Kubernetes': embedded, or make conformance KUBECONFIG=FILE
	$(if $(filter command line,$(origin KUBECONFIG)),CONFORMANCE_KUBECONFIG=$(abspath $(KUBECONFIG))) cargo test --package prefect-e2e-conformance --test conformance

bench: ## Measure the renderer, the reports, and the cluster against a bare Prefect server
	cargo build --release --package prefect-e2e
	cargo bench --workspace --bench render --bench process --bench sinks --bench cluster

lint: ## Format, clippy and rustdoc, without warnings
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps

kind-up: ## Create the kind cluster of kind-config.yaml, which TARGET=auto then takes
	kind create cluster --config kind-config.yaml --wait 180s

kind-down: ## Delete it
	kind delete cluster --name prefect-e2e
