# Everything a developer does here. `make` alone lists it.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
RECIPE ?= digits
ARGS   ?=#                               more for pytest or thaw:  make test ARGS="-k resume"
BENCH_DATA ?=#                           a folder of images for make bench, such as cats and dogs
BENCH_WEIGHTS ?=#                        backbone weights for it; without, Keras downloads ImageNet's
BENCH  ?= cached_rerun growth input_pipeline orchestration scale $(if $(BENCH_DATA),whole_job)
WORKERS ?= 2#                            processes that test at a time; each may take 2 GB
UV     := $(shell command -v uv)#        faster where it is there (1 minute, pip 2); `make setup UV=` does without

# The same options for both: exactly what requirements.lock lists, built with the tools that it lists.
LOCKED  := --require-hashes --no-deps --no-build-isolation
# Both compile to bytecode: `import tensorflow` is 5 s with it, and 13 s each time where Python may not write it later.
UV_INSTALL  := $(UV) pip install -q --python $(BIN)/python --compile-bytecode
PIP_INSTALL := $(BIN)/pip install -q --use-pep517 --disable-pip-version-check
INSTALL     := $(if $(UV),$(UV_INSTALL),$(PIP_INSTALL))

# Chooses versions, for `lock` and `test-lowest`. Whoever has a uv of their own may have another.
LOCKING_UV := build/lock/bin/uv
COMPILE    := $(LOCKING_UV) pip compile -q --no-config --extra dev pyproject.toml --no-annotate --no-emit-index-url \
	--no-emit-find-links
LOWEST     := .venv-lowest

PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal
COMMIT  = $(shell git rev-parse HEAD)

OPTIONS_cached_rerun   := --check
OPTIONS_input_pipeline := --check $(if $(BENCH_DATA),--data "$(BENCH_DATA)")
OPTIONS_scale          := $(OPTIONS_input_pipeline) $(if $(BENCH_WEIGHTS),--weights "$(BENCH_WEIGHTS)")
OPTIONS_growth         := $(OPTIONS_scale)
OPTIONS_whole_job      := $(OPTIONS_scale)
# Without images it runs a recipe that is too short for its bound.
OPTIONS_orchestration  := $(if $(BENCH_DATA),$(OPTIONS_scale))

VERSION := import sys; print(*sys.version_info[:2])
SUITED  := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
BROWSERS := chromium chromium-browser google-chrome google-chrome-stable

.DEFAULT_GOAL := help
.PHONY: help setup run check test test-slow test-sample test-lowest bench browser lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## make .venv from requirements.lock (PYTHON=python3.12 chooses another Python)

run: setup ## the digits recipe from start to end (RECIPE=cats_dogs: another)
	$(BIN)/thaw run $(RECIPE) $(ARGS)

check: setup ## style, types, and who may import whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

test: check browser ## check, then the fast tests
	$(PYTEST) -m "not slow" $(ARGS)

test-slow: setup browser ## the tests that take minutes; says at the end how long each file took
	$(PYTEST) -m slow $(ARGS)

test-sample: setup browser ## some of the slow ones, for 15 minutes, chosen by the commit (COMMIT=…: by another)
	$(PYTEST) -m slow --sample "$(COMMIT)" $(ARGS)

# The packages themselves need not be locked: which versions they are, pyproject.toml says.
test-lowest: $(LOCKING_UV) browser ## the fast tests with the oldest versions that pyproject.toml allows, in .venv-lowest
	$(PYTHON) -m venv --clear $(LOWEST)
	$(COMPILE) --resolution lowest-direct --output-file build/lowest.txt
	$(LOCKING_UV) pip install -q --python $(LOWEST)/bin/python --compile-bytecode -r build/lowest.txt
	$(LOCKING_UV) pip install -q --python $(LOWEST)/bin/python --no-deps --no-build-isolation --editable .
	$(LOWEST)/bin/python -m pytest --numprocesses $(WORKERS) --dist worksteal -m "not slow" $(ARGS)

# One after the other, and all of them, also where one fails or is not within its bounds.
bench: setup ## measurements with bounds, on a quiet machine (BENCH_DATA=DIR BENCH_WEIGHTS=FILE BENCH="scale …" ARGS=…)
	@$(MAKE) --no-print-directory --keep-going --jobs=1 $(BENCH:%=bench-%)

bench-%: setup
	$(BIN)/python -m benchmarks.$* $(OPTIONS_$*) $(ARGS)

browser: ## the browser for the tests of pages, from Debian, if there is none and we are root
	@for name in $(BROWSERS); do command -v $$name >/dev/null && exit 0; done; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "Installing Chromium from Debian"; export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null && exit 0; \
	fi; \
	echo "No Chromium or Chrome here, and none could be installed: the tests marked ui will be skipped."

lock: $(LOCKING_UV) ## choose the versions in requirements.lock anew (UPGRADE=1: the newest that pyproject.toml allows)
	$(COMPILE) --output-file requirements.lock --universal --python-version 3.11 --generate-hashes \
		$(if $(UPGRADE),--upgrade) --custom-compile-command "make lock"

$(LOCKING_UV):
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install -q uv==0.13.9

clean: ## remove what make made: the environment, builds, caches (not .thaw, where runs keep their results)
	rm -rf $(VENV) $(LOWEST) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A set-up that was cut short leaves no stamp, and the next one starts from an empty folder.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c '$(SUITED)' || { echo "thaw needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) --version)." \
		"Try: make setup PYTHON=python3.12" >&2; exit 1; }
	@[ -e $@ ] && [ "$$($(PYTHON) -c '$(VERSION)')" = "$$($(BIN)/python -c '$(VERSION)')" ] || \
		{ echo "Making $(VENV): 3 GB, a minute or two"; $(PYTHON) -m venv --clear $(VENV); }
	@rm -f $@
	@awk '/^[a-z0-9]/ {build = /^(packaging|setuptools|wheel)==/} build' requirements.lock > $(VENV)/build-tools.txt
	$(INSTALL) $(LOCKED) -r $(VENV)/build-tools.txt
	$(INSTALL) $(LOCKED) -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

ifneq ($(origin PYTHON),file) # a Python was asked for: make .venv anew if it has another
ifneq ($(shell $(PYTHON) -c '$(VERSION)'),$(shell $(BIN)/python -c '$(VERSION)' 2>/dev/null))
.PHONY: $(STAMP)
endif
endif
