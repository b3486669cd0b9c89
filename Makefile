# Everything runs in .venv, which the first target that needs it makes: Python >= 3.11, gcc and make are enough.
#
# TORCH_INDEX names the package index that torch alone comes from. Without it, the default index gives its usual build,
# on Linux a CUDA one of several GB. PyTorch's own install page names the index of CPU builds.

PYTHON ?= python3
TORCH_INDEX ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH := $(shell grep '^torch==' constraints.txt)

.DEFAULT_GOAL := help
.PHONY: help demo test lint format clean chromium

help: ## Say what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: $(INSTALLED) ## Draw people, train on them, search, end with a report: three to four minutes on two cores
	$(BIN)/bitreid demo --out demo

test: lint chromium ## Lint, then all tests that need no GPU, with the coverage gate
	$(BIN)/python -m pytest -m "not gpu" --cov=bitreid --cov-fail-under=90

lint: $(INSTALLED) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A test opens the report in a browser. Debian's is installed where that is possible without asking anybody.
chromium:
	@command -v chromium >/dev/null || { \
	  test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq && \
	  apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; } || { \
	  echo "expected the browser chromium, which the tests of the report open pages with, got none;" \
	    "install it: sudo apt-get install chromium"; exit 1; }

format: $(INSTALLED) ## Let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove the environment, the demo and what tools left behind
	rm -rf $(VENV) demo build dist *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# torch comes first, alone and without constraints: an index of its own need not have the pinned versions of what torch
# needs. The second step moves those to the pins and leaves torch as it is.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "expected Python 3.11 or newer; name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install $(TORCH) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	touch $@
