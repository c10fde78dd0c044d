# make run | make test | make test-all | make check | make bench: each sets up what it needs in .venv
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
ARGS ?= --source synthetic
BENCH ?= nab --path ../shared/benchmarks/nab --out runs/bench-nab

.PHONY: run test test-all check bench torture lock clean

run: $(VENV)/.run
	$(BIN)/python main.py $(ARGS)

# the quick tests on all cores; TESTS="tests/cli -k resume" picks some
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto -m "not slow and not browser and not stress" $(TESTS)

# every test, with the slow ones, a browser and the short form of make torture
test-all: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto $(TESTS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# e.g. make bench BENCH="ucr --path DIR --out runs/bench-ucr --detector all"
bench: $(VENV)/.dev
	$(BIN)/python main.py bench $(BENCH)

# kills, faults, hostile files, noise and ten million points, in at most 15 minutes on two idle cores; writes docs/reliability.md
torture: $(VENV)/.dev
	PYTHONPATH=tests:. $(BIN)/python -m stress

# new pins after a change in pyproject.toml
COMPILE := $(BIN)/pip-compile --quiet --strip-extras --no-header --no-emit-index-url --no-emit-find-links \
	--extra train --extra plot --extra yfinance --extra calendar --extra serve --extra pandas
lock: $(VENV)/.dev
	$(BIN)/pip install --quiet pip-tools
	$(COMPILE) --output-file requirements.txt pyproject.toml
	$(COMPILE) --allow-unsafe --extra dev --output-file requirements-dev.txt pyproject.toml
	$(COMPILE) --extra dashboard --output-file requirements-dashboard.txt pyproject.toml

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	@echo "making the environment $(VENV) with $(PYTHON)"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python requirements.txt
	@echo "installing what a run needs, TensorFlow among it, into $(VENV): about two minutes, once"
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.txt
	touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.txt
	@echo "installing what tests and checks need into $(VENV): about a minute, once"
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	touch $@
