# Swath. `make demo` and `make test` are the two to begin with; both install what is missing.
SHELL := /bin/bash
export SWATH_CACHE ?= $(HOME)/.cache/swath
export LIBTORCH := $(SWATH_CACHE)/libtorch-2.11.0/torch
TARGET := $(or $(CARGO_TARGET_DIR),target)
# Servers that all tests share and workers that a test has killed leave files behind: they lie in a folder that goes with the tests.
CLEANLY = folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && TMPDIR="$$folder"

.DEFAULT_GOAL := help
.PHONY: $(shell sed -nE 's/^([a-z-]+):.*/\1/p' $(MAKEFILE_LIST))

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 24

setup: ## install what is missing to build, test and lint; every other target installs its own
	@setup/install build test lint

build: ## the program, for development and tests
	@setup/install build
	cargo build --locked -p swath

nccl-plugin: ## what sums gradients between cards, compiled into the cache; takes no card
	@setup/install nccl

demo: ## scenes drawn, a network trained, a map, its scores and a picture; minutes
	@setup/install build
	cargo build --locked --release -p swath --no-default-features --features worker
	@setup/demo $(TARGET)/release/swath

# The program together with the tests, so that what both stand on is built once, with one set of features. Most tests wait
# most of the time, for servers that have been stopped and for leases that run out: twice as many at once as there are cores.
test: ## all tests; starts its own servers
	@setup/install build test
	cargo build --locked --workspace --bins --tests
	$(CLEANLY) RUST_TEST_THREADS=$$((2 * $$(nproc))) cargo test --locked --workspace --no-fail-fast

test-faults: ## a hundred kills in one run, each server away for a minute, slow, failing, and more; half an hour
	@setup/install build test
	cargo build --locked --workspace --bins --tests
	$(CLEANLY) cargo test --locked --workspace --test system -- --ignored --nocapture fifty twenty faults:: --skip soak

test-experiments: ## the three experiments on both brokers, workers killed on the way; a trainer of one's own; minutes
	@setup/install build test trainer
	cargo build --locked --workspace --bins --tests
	$(CLEANLY) cargo test --locked --workspace --test system -- --ignored --nocapture --test-threads 1 experiments::

test-containers: ## workers and trainers as jobs of an emulated Batch in real containers, by podman; root, minutes
	@setup/install build test images
	cargo build --locked --workspace --bins --tests
	$(CLEANLY) cargo test --locked --workspace --test system -- --ignored --nocapture containers::

test-docs: ## the commands of README, docs and examples that take minutes, as they stand; half an hour on two cores
	@setup/install build test
	cargo build --locked --workspace --bins --tests
	$(CLEANLY) cargo test --locked --workspace --test system -- --ignored --nocapture what_takes_minutes

# What is committed of the page's bundle has to be what its sources give: the program embeds it, and needs no npm.
web: ## the page's bundle, of its sources
	@setup/install web
	cd web && npm run -s build

web-check: ## whether the committed bundle is what its sources give
	@setup/install web
	@folder=$$(mktemp -d) && trap 'rm -r "$$folder"' EXIT && (cd web && node build.mjs "$$folder") && diff -r "$$folder" web/dist

test-page: web-check ## every page and action in Chromium, and the API under schemathesis; minutes, pictures in target/tmp/page
	@setup/install build test web browser
	cargo build --locked --workspace --bins --tests
	$(CLEANLY) cargo test --locked --workspace --test system -- --ignored --nocapture --test-threads 1 page:: --skip page::scale

book: ## the documentation as a book with its search, in target/book
	@setup/install book
	$(SWATH_CACHE)/mdbook-0.5.4/bin/mdbook build

SECONDS ?= 900
SEED ?= 20261128
soak: ## random faults from a seed over run after run, and a report; SECONDS=900, SEED=20261128
	@setup/install build test
	cargo build --locked --workspace --bins --tests
	$(CLEANLY) SWATH_SECONDS=$(SECONDS) SWATH_SEED=$(SEED) cargo test --locked -q --workspace --test system -- --ignored --nocapture soak

SECONDS_EACH ?= 60
FUZZ_TARGETS ?=
fuzz: ## all readers of what comes from outside, by libFuzzer; SECONDS_EACH=60, FUZZ_TARGETS="geojson pickle"
	@setup/install fuzz
	@setup/fuzz $(SECONDS_EACH) $(FUZZ_TARGETS)

memory: ## a 30,000 px scene within 1.5 GB, against a 5,000 px one; half an hour
	@setup/install build test
	cargo build --locked --release -p swath --no-default-features --features worker
	@setup/memory $(TARGET)/release/swath

bench: bench-control bench-idle bench-overlap bench-listing bench-assemble ## all benchmarks; one JSON object a line

bench-control: ## items a second that queue, ledger and coordinator carry, on each backend
	@setup/install build test
	cargo build --locked --release -p swath
	$(CLEANLY) SWATH_BIN=$(TARGET)/release/swath cargo test --locked -q -p swath-tests --test system -- --ignored --nocapture control_

bench-scale: ## ten million items, by ten thousand workers in simulated time; a million through the servers, and what each carries; an hour, by hand
	@setup/install build test
	cargo build --locked --release -p swath
	$(CLEANLY) SWATH_BIN=$(TARGET)/release/swath cargo test --locked -q -p swath-tests --test system -- --ignored --nocapture --test-threads 1 scale_
	cargo test --locked -q --release -p swath-coordinator decide_over -- --ignored --nocapture
	cargo test --locked -q --release -p swath-coordinator ten_million_items_by -- --ignored --nocapture

bench-elastic: ## workers of this machine from none to four and back, half of them killed; drawn in target/tmp/fleet-elastic.svg
	@setup/install build test
	cargo build --locked --workspace --bins --tests
	$(CLEANLY) cargo test --locked -q --workspace --test system -- --nocapture a_fleet_of_this_machine_comes

bench-idle: ## what a worker without work costs, on each backend; two minutes
	@setup/install build test
	cargo build --locked --release -p swath
	$(CLEANLY) SWATH_BIN=$(TARGET)/release/swath cargo test --locked -q -p swath-tests --test system -- --ignored --nocapture --test-threads 1 idle::

bench-page: ## a run of 10,000 scenes and a million parts in Chromium: from the address to all that is drawn; minutes
	@setup/install build test web browser
	cargo build --locked --release -p swath
	$(CLEANLY) SWATH_BIN=$(TARGET)/release/swath cargo test --locked -q -p swath-tests --test system -- --ignored --nocapture page_of_ten_thousand

bench-metrics: ## what updates of metrics take, against an item's CPU
	@setup/install build
	cargo run --locked --release -q -p swath-worker --example metrics_cost

bench-overlap: ## how much of the time the device computes, with one item in hand and with three
	@setup/install build test
	cargo build --locked --release -p swath
	$(CLEANLY) SWATH_BIN=$(TARGET)/release/swath cargo test --locked -q -p swath-tests --test system -- --ignored --nocapture --test-threads 1 overlap::

bench-listing: ## keys a second that are listed back when a ledger was lost: a million in a folder, 20,000 in a bucket
	@setup/install build test
	$(CLEANLY) cargo test --locked -q --workspace --test system -- --ignored --nocapture --test-threads 1 listing_

bench-assemble: ## joining scores of 2 GB beside `cp` of the same bytes; 7 GB of disk under TMPDIR, minutes
	@setup/install build test
	$(CLEANLY) cargo test --locked -q --workspace --test system -- --ignored --nocapture --test-threads 1 assembling_

bench-vectors: ## polygons of a class raster, beside GDAL's polygonize, on one thread; minutes
	@setup/install build
	cargo run --locked --release -q -p swath-raster --example polygonize

bench-raster-vision: ## the same numbers as Raster Vision, and what they cost; an hour, 6 GB in the cache
	@setup/install build raster-vision
	cargo build --locked --release -p swath --no-default-features --features worker
	$(SWATH_CACHE)/raster-vision-0.31.1/bin/python bench/raster-vision/main.py $(TARGET)/release/swath

bench-predict: ## what predicting costs beside Raster Vision and a loop by hand, and where the time goes; an hour
	@setup/install build raster-vision
	cargo build --locked --release -p swath --no-default-features --features worker
	$(TARGET)/release/swath bench predict
	$(TARGET)/release/swath bench predict --set predict.engine=libtorch
	$(SWATH_CACHE)/raster-vision-0.31.1/bin/python bench/raster-vision/main.py $(TARGET)/release/swath --size 3072 --only predict predict-by-hand predict-int8 predict-int8-by-hand kernels

template: ## cloudformation/swath.yaml, of its sources
	cloudformation/flatten > cloudformation/swath.yaml.part
	mv cloudformation/swath.yaml.part cloudformation/swath.yaml

dashboards: ## dashboards/*.json of their sources
	@setup/install dashboards
	PYTHONDONTWRITEBYTECODE=1 $(SWATH_CACHE)/dashboards-1/bin/python dashboards/source/make.py

# The worker's last: it is the whole program, and stays in $(TARGET)/release.
MORE ?=
images: ## every role's image, without Docker's daemon, and a pipeline in them; takes root; MORE="--volume FILE:FILE" for buildah
	@setup/install build images
	cargo build --locked --release -p swath --no-default-features --features servers
	install -Dt $(TARGET)/images/coordinator $(TARGET)/release/swath
	cargo build --locked --release -p swath --no-default-features --features engine,servers
	install -Dt $(TARGET)/images/trainer $(TARGET)/release/swath $(TARGET)/release/swath-worker
	cargo build --locked --release -p swath
	install -Dt $(TARGET)/images/worker $(TARGET)/release/swath $(TARGET)/release/swath-worker
	deploy/docker/check --binaries $(TARGET)/images $(if $(MORE),-- $(MORE))

lint: web-check ## format, clippy, docs, licences, scripts, the AWS template, dashboards, images, manifests
	@setup/install build lint
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked -p swath --no-default-features --features servers -- -D warnings
	cargo clippy --locked -p swath --no-default-features --features engine -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --locked --workspace --no-deps --document-private-items
	$(SWATH_CACHE)/cargo-deny-0.20.2/bin/cargo-deny --locked --all-features check licenses bans sources
	PYTHONDONTWRITEBYTECODE=1 $(SWATH_CACHE)/dashboards-1/bin/python dashboards/source/make.py --check
	promtool check config --lint-fatal deploy/prometheus/prometheus.yml
	promtool test rules dashboards/alerts_test.yml
	shellcheck setup/install setup/demo setup/memory setup/fuzz setup/env .ci/run cloudformation/parts/*.sh
	@cloudformation/flatten | cmp - cloudformation/swath.yaml || { echo "the sources have changed: make template" >&2; exit 1; }
	$(SWATH_CACHE)/cfn-lint-1.58.0/bin/python $(SWATH_CACHE)/cfn-lint-1.58.0/bin/cfn-lint cloudformation/swath.yaml
	shellcheck deploy/docker/build deploy/docker/run deploy/docker/publish deploy/docker/check deploy/compose/prepare tests/tests/system/containers/image
	$(SWATH_CACHE)/hadolint-2.15.1/bin/hadolint deploy/docker/Dockerfile
	$(SWATH_CACHE)/check-jsonschema-0.39.0/bin/python -m check_jsonschema --builtin-schema vendor.compose-spec deploy/compose/compose.yaml
	$(SWATH_CACHE)/kubernetes-validate-1.37.0/bin/python -m kubernetes_validate --strict --quiet -k 1.32 \
		$(filter-out %/kustomization.yaml,$(wildcard deploy/kubernetes/base/*.yaml deploy/kubernetes/gpu/*.yaml))
	@find . -path ./target -prune -o -name '*.rs' -exec wc -l {} + | \
		awk '$$2 != "total" && $$1 > 400 { print "warning: " $$2 " has " $$1 " lines: is it one concept?" }'
