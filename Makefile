# `make autopilot` and `make test` do all of their own set-up; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AGENTS ?= 5
TASKS ?= scripts/sample_tasks.jsonl
# More options for pytest: `make test PYTEST="-k journal -x"`.
PYTEST ?=
# How long `make torture` and `make fuzz` look on; the first takes half a minute more to come to rest.
SECONDS ?= 60
# More options for them, and for `make bench`: `make torture OPTIONS="--plant order"`.
OPTIONS ?=
TYPESCRIPT := clients/typescript
# The tests that look at the page need a browser, and without one not what drives it (50 MB).
DEV := dev$(if $(shell command -v chromium || command -v google-chrome),-browser)
comma := ,

.PHONY: help autopilot test check check-typescript docs format bench plants torture fuzz coverage manual dist dist-test clean

help:
	@echo 'make autopilot [AGENTS=5] [TASKS=file]   run a list of tasks under admission'
	@echo 'make test [PYTEST="-k name"]             check everything, then run the tests'
	@echo 'make check                               lint, format and types only'
	@echo 'make docs                                the documentation as a site, into build/docs'
	@echo 'make format                              put the code into shape'
	@echo 'make bench [OPTIONS=--install]           the benchmarks, as ratios within one run'
	@echo 'make plants                              plant known bugs, and see the tests find them'
	@echo 'make torture [SECONDS=60]                real processes, and a daemon that is killed all the while'
	@echo 'make fuzz [SECONDS=60]                   input that was never meant to come'
	@echo 'make coverage [PYTEST="tests/core tests/service"]  which branches no test takes'
	@echo 'make manual                              write admission(1) by the tables of options'
	@echo 'make dist                                build the wheel, the source and the npm package into dist/'
	@echo 'make dist-test                           build them, install them elsewhere, and see them work'
	@echo 'make clean                               remove what these made'

autopilot: $(VENV)/installed
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/admission autopilot --agents $(AGENTS) $(TASKS)

test: check
	$(BIN)/python -m pytest -n 3 $(PYTEST)

check: $(VENV)/installed-$(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --platform linux
	$(BIN)/mypy --platform darwin
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory check-typescript; \
	else echo 'Node is not on this machine: the TypeScript client is not checked'; fi

check-typescript: $(TYPESCRIPT)/node_modules/.package-lock.json
	cd $(TYPESCRIPT) && node_modules/.bin/tsc && node_modules/.bin/tsc -p tsconfig.page.json
	$(BIN)/python -m scripts.page_snippets $(TYPESCRIPT)/build/snippets
	cd $(TYPESCRIPT) && node_modules/.bin/tsc -p tsconfig.snippets.json

$(TYPESCRIPT)/node_modules/.package-lock.json: $(TYPESCRIPT)/package-lock.json
	@echo 'installing into $(TYPESCRIPT)/node_modules'
	@cd $(TYPESCRIPT) && npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx -E -a -W --keep-going -q -b html docs build/docs
	@echo 'build/docs/index.html'

format: $(VENV)/installed-$(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/installed-$(DEV)
	$(BIN)/python -m scripts.bench $(OPTIONS)

plants: $(VENV)/installed-$(DEV)
	$(BIN)/python scripts/plant_bugs.py

torture: $(VENV)/installed-$(DEV)
	$(BIN)/python -m scripts.torture --seconds $(SECONDS) $(OPTIONS)

fuzz: $(VENV)/installed-$(DEV)
	$(BIN)/python -m scripts.fuzz --seconds $(SECONDS) $(OPTIONS)

# Across processes: whatever a test starts is measured, too.
coverage: $(VENV)/installed-$(DEV)
	rm -f .coverage .coverage.*
	COVERAGE_FILE=$(CURDIR)/.coverage $(BIN)/python -m pytest -n 2 --cov --cov-report=term-missing:skip-covered $(PYTEST)

manual: $(VENV)/installed-$(DEV)
	$(BIN)/python -m scripts.manual

dist: $(VENV)/installed-$(DEV)
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory dist-typescript; \
	else echo 'Node is not on this machine: the npm package is not built'; fi

.PHONY: dist-typescript
dist-typescript: $(TYPESCRIPT)/node_modules/.package-lock.json
	cd $(TYPESCRIPT) && rm -rf dist && npm pack --silent --pack-destination ../../dist

dist-test: dist
	ADMISSION_DIST=dist $(BIN)/python -m pytest -q tests/release $(PYTEST)

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
	rm -rf $(TYPESCRIPT)/node_modules $(TYPESCRIPT)/build $(TYPESCRIPT)/dist

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || \
	  { echo 'make: Python is missing: install Python 3.11 or newer, or name it: make PYTHON=…' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: $$($(PYTHON) -V) is too old: install Python 3.11 or newer, or name it: make PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "make: $(PYTHON) can't make virtual environments: install its venv module (Debian: apt install python3-venv)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
# An older pip has the command import `re` first: as long again as all that `admission run` imports.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	@echo 'installing into $(VENV)'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-$(DEV): pyproject.toml | $(VENV)/bin/python
	@echo 'installing into $(VENV), with what tests need'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(subst -,$(comma),$(DEV))]'
	@touch $@

$(VENV)/installed-docs: pyproject.toml | $(VENV)/bin/python
	@echo 'installing into $(VENV), with what the documentation needs'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@
