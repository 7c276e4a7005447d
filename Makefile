# One environment for everything: the developers' tools add about a tenth to the size of the runtime
# packages, torch above all, and after one of demo, test and check the others start at once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt
INSTALLED := $(VENV)/.installed
INSTALLED_BENCH := $(VENV)/.installed-bench

.DEFAULT_GOAL := help
.PHONY: help install demo test check format bench bench-experts readme clean

help: ## show this list
	@echo "make TARGET [PYTHON=/path/to/python3] [ARGS='options for demo, test or bench']"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED) ## create .venv with the pinned packages

demo: $(INSTALLED) ## run the tour: figures and report go to outputs/
	@$(BIN)/python demo.py $(ARGS)

test: $(INSTALLED) ## run the tests
	@$(BIN)/python -m pytest -n auto $(ARGS)

check: $(INSTALLED) ## look for mistakes of format, style and type
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(INSTALLED) ## format the sources and mend what ruff can mend
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

bench: $(INSTALLED_BENCH) ## time attention beside other libraries
	@$(BIN)/python -m sparse_transformers bench attention $(ARGS)

bench-experts: $(INSTALLED_BENCH) ## time layers of experts beside a dense one and Mixtral's block
	@$(BIN)/python -m sparse_transformers bench experts $(ARGS)

readme: $(INSTALLED) ## put the tables of recorded runs into the README
	@$(BIN)/python -m sparse_transformers readme

clean: ## back to a bare clone, except for runs/ and checkpoints/
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A failed installation leaves no stamp, so the next make tries again.
$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing the pinned packages into $(VENV); the first time takes a few minutes."
	@$(PIP_INSTALL) -e '.[dev]'
	@touch $@

$(INSTALLED_BENCH): $(INSTALLED)
	@echo "Installing the libraries to compare with."
	@$(PIP_INSTALL) -e '.[bench]'
	@touch $@

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "error: $(PYTHON) not found: install Python 3.11 or newer," \
	       "or name one, as in make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1):" \
	       "name a newer one, as in make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); \
	  echo "error: $(PYTHON) cannot create a virtual environment:" \
	       "on Debian and Ubuntu, install python3-venv" >&2; exit 1; }
