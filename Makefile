# make run | make test | make check | make bench: each sets up what it needs in .venv
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
ARGS ?= --source synthetic

.PHONY: run test check lock clean

run: $(VENV)/.run
	$(BIN)/python main.py $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# new pins after a change in pyproject.toml
lock: $(VENV)/.dev
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --strip-extras --no-header --no-emit-index-url --no-emit-find-links --output-file requirements.txt pyproject.toml
	$(BIN)/pip-compile --quiet --strip-extras --no-header --no-emit-index-url --no-emit-find-links --extra dev --output-file requirements-dev.txt pyproject.toml

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.txt
	touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	touch $@
