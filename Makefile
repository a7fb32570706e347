# The few commands of this repository. Needs GNU make, bash and Python 3.11 or newer, nothing else.
#
#   PYTHON=/usr/bin/python3.12   the interpreter the environment is made with
#   VENV=/somewhere/else         where the environment lies
#   TRAIN=0                      without torch: no trainer in the demonstration, its tests are skipped
#
# torch is pinned here and not in the package: an unpinned one may bring gigabytes of CUDA libraries.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= python3
VENV ?= .venv
TORCH ?= 2.13.0
TRAIN ?= 1
OUT ?= demo-out

BIN := $(VENV)/bin
PIP := "$(BIN)/python" -m pip install -qq --disable-pip-version-check

# One stamp per set of extras, so that each is installed once; make needs the spaces of a path escaped.
empty :=
STAMP := $(subst $(empty) ,\ ,$(VENV))/.m3w
CORE := $(STAMP)-core
DEV := $(STAMP)-dev
TRAINER := $(if $(filter-out 0,$(TRAIN)),$(STAMP)-train)

.PHONY: help
help: ## explain every target
	@echo "make TARGET [TRAIN=0] [PYTHON=python3] [VENV=.venv]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' Makefile

.PHONY: install
install: $(CORE) $(TRAINER) $(DEV) ## create the environment with everything in it

.PHONY: demo
demo: $(CORE) $(TRAINER) ## build a dataset from the bundled crawl, look at it, train on it
	@PATH="$$(cd "$(BIN)" && pwd):$$PATH" bash examples/demo.sh "$(OUT)" "$(TRAIN)"

.PHONY: test
test: $(TRAINER) $(DEV) ## run the tests
	@"$(BIN)/python" -m pytest

.PHONY: test-all
test-all: $(TRAINER) $(DEV) ## run the tests, the slow ones too
	@"$(BIN)/python" -m pytest -m "slow or not slow"

.PHONY: lint
lint: $(DEV) ## check style and formatting
	@"$(BIN)/ruff" check .
	@"$(BIN)/ruff" format --check .

.PHONY: types
types: $(TRAINER) $(DEV) ## check the types
	@"$(BIN)/mypy"

.PHONY: format
format: $(DEV) ## format the code and fix what can be fixed
	@"$(BIN)/ruff" check --fix .
	@"$(BIN)/ruff" format .

.PHONY: bench
bench: $(DEV) ## measure a whole build: time, memory, Beam's share (more in docs/benchmarks.md)
	@"$(BIN)/python" -m benchmarks.local_run

.PHONY: train-proof
train-proof: $(TRAINER) $(DEV) ## prove on drawn pages that what is learnt needs the images (docs/trainer.md)
	@"$(BIN)/python" -m benchmarks.proof

.PHONY: clean
clean: ## remove what make has made, .venv included
	@rm -rf .venv build dist ./*.egg-info demo-out .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(CORE): pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "expected Python 3.11 or newer, found $$("$(PYTHON)" --version 2>&1);" \
	    "name one with make PYTHON=..." >&2; exit 1; }
	@echo "installing into $(VENV) (about a minute) ..."
	@"$(PYTHON)" -m venv "$(VENV)"
	@$(PIP) --editable .
	@touch "$@"

$(STAMP)-train: $(CORE)
	@echo "installing torch $(TORCH) ..."
	@$(PIP) --editable '.[train]' 'torch==$(TORCH)'
	@touch "$@"

$(STAMP)-dev: $(CORE)
	@echo "installing the tools for development ..."
	@$(PIP) --editable '.[dev]'
	@touch "$@"
