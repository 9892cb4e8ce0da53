# Thin on purpose: each target is a few commands that work without make.

TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
DEVSTACK := $(TARGET)/debug/devstack
# One build for everything: its settings for faults are absent from release builds.
BUILD := cargo build --workspace --all-features
# Tests mostly wait for processes that were killed: more of them than processors may run at once.
TESTKIT := TESTKIT_BUILT=1 TESTKIT_HOME=$(TARGET)/testkit RUST_TEST_THREADS=4

.PHONY: up down reset status order verify jaeger test lint lint-test build tools
.PHONY: chaos-events alerts-drill restore-drill docs-test bench load load-check plan
.PHONY: images compose-up compose-down compose-test cluster-test

up: build ## start everything, load the catalogue, walk an order through it
	$(DEVSTACK) up

down: ## stop everything; data stays
	$(DEVSTACK) down

reset: ## stop everything and remove all data
	$(DEVSTACK) reset

status: ## what runs, where, and how much memory it takes
	$(DEVSTACK) status

order: ## walk one more order through the platform that runs
	$(DEVSTACK) order

verify: ## check stock, money, orders and events across all services and shards
	$(DEVSTACK) verify

jaeger: ## build and start Jaeger, and send it every trace
	$(DEVSTACK) jaeger

test: build ## all tests, on one set of real servers
	$(DEVSTACK) --home $(TARGET)/testkit test-servers start
	status=0; $(TESTKIT) cargo test --workspace --all-features || status=$$?; \
		$(DEVSTACK) --home $(TARGET)/testkit test-servers stop; exit $$status

docs-test: build ## every command of the operators' pages that needs no cluster, on a platform of its own
	scripts/docs-check --run

# With CHAOS_INBOX=off it must fail.
chaos-events: export CHAOS_KILLS ?= 20
chaos-events: export CHAOS_ORDERS ?= 10
chaos-events: build ## kill the broker and each consumer 20 times during 1,000 orders
	TESTKIT_BUILT=1 cargo test --workspace --all-features --test outages -- \
		--nocapture every_event_takes_effect_once

# ALERTS_FAULTS="pool limbo" is a short form.
alerts-drill: build ## five faults, each seen as an alert that fires and ends; figures behind every panel
	scripts/bootstrap alerts
	scripts/alerts-drill $(DEVSTACK) $(ALERTS_FAULTS)

restore-drill: build ## sell, back up, sell on, go back to a moment, count what is there
	TESTKIT_BUILT=1 RESTORE_ORDERS=200 cargo test --workspace --all-features --test restore -- \
		--nocapture

bench: tools ## ratios to a bare server and to bare commits, on a platform of its own
	cargo build --release --workspace --bins
	$(TARGET)/release/bench

# CAPACITY from a measured run: loadtest/planner/README.md.
CAPACITY ?= loadtest/planner/examples/capacity.json
VALUES ?= helm/cloudretail/values-production.yaml
plan: build ## values and a report for what was measured, and whether VALUES contradict it
	$(TARGET)/debug/planner plan $(CAPACITY) --values $(VALUES) --out $(TARGET)/plan
	$(TARGET)/debug/planner check $(CAPACITY) --values $(VALUES)

# SCENARIO, SHAPE, SCALE and SHORT=1 say what, see loadtest/README.md.
load: build ## put a load on the platform, and report how it did
	DEVSTACK=$(DEVSTACK) loadtest/run

load-check: ## build k6 where it is missing, and check the load scenarios
	scripts/bootstrap load
	scripts/load-check

images: tools ## container images of the services, from one release build
	scripts/bootstrap images
	CLOUDRETAIL_COMMIT="$$(git describe --always --dirty --abbrev=40 || echo unknown)" \
		cargo build --release --workspace --exclude tests --exclude planner --bins
	$(TARGET)/release/devstack images

compose-up: ## the whole platform in containers, with Jaeger, Prometheus and Grafana
	scripts/compose --profile observability up --detach --wait

compose-down: ## end it; data stays
	scripts/compose --profile "*" down

compose-test: ## the platform in containers, an order, its trace, two gateways; nothing is left
	scripts/compose-test

# Settings are at the top of the script: IMAGES, LOAD, NAMESPACE, KEEP.
cluster-test: ## install, load, roll, upgrade, roll back, scale and remove the chart on the current kube context
	scripts/cluster-test

lint: tools
	scripts/bootstrap lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	.tools/lint/bin/buf lint proto
	PATH="$$PATH:$(CURDIR)/.tools/lint/bin" cargo deny check bans licenses sources
	scripts/chart-check
	scripts/cluster-test --self-test
	scripts/monitoring-check
	test ! -x .tools/k6/k6 || scripts/load-check
	scripts/docs-check
	scripts/container-check

lint-test: tools ## spoils copies, and sees that each check of `lint` finds what it looks for
	scripts/bootstrap lint
	scripts/bootstrap load
	scripts/chart-check --self-test
	scripts/monitoring-check --self-test
	scripts/load-check --self-test
	scripts/docs-check --self-test
	scripts/container-check --self-test
	scripts/cluster-test --self-test

build: tools
	$(BUILD)

tools:
	@scripts/bootstrap
