# `make demo` and `make test` are all the set-up there is: each makes .venv first, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
EXTRAS := yolo,train,openvino,export,tune,fast,view,plan,search,postgres,qdrant,qdrant-edge,docs,dev
FOLDERS := reid tracker eval configs tools
SOURCES := retrace $(FOLDERS) tests

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format lint types docs clean

help:
	@echo "make demo    track people in a real video and show the result"
	@echo "make test    run the test suite"
	@echo "make check   format check, lint, types, tests"
	@echo "make docs    build the documentation into site/, to be read without a network"
	@echo "make setup   only the installation (the others call it)"
	@echo "make format  format the sources in place"

setup: $(STAMP)

# The stamp is written last: an installation that was cut off is done again.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Retrace needs Python 3.11 or newer; $(PYTHON) is older. Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "No venv module: on Debian and Ubuntu, install python3-venv"; exit 1; }
	@echo "Installing the pinned set into $(VENV) (a few minutes, about 2 GB) ..."
	@PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -qq -e '.[$(EXTRAS)]'
	@echo "Compiling the tracker's hot loops (once, about a minute) ..."
	@$(BIN)/python -c 'from retrace import Detections, Tracker; Tracker.from_config("sort").update(Detections.empty())'
	@mkdir -p .typing/retrace && ln -sfn $(foreach f,$(wildcard retrace/*.py) retrace/py.typed $(FOLDERS),../../$(f)) .typing/retrace/
	@touch $@

demo: $(STAMP)
	@$(BIN)/python tools/demo.py

# Bytecode is kept whatever the caller says: else each of the suite's hundreds of processes compiles all our sources anew.
# One thread each: there are as many of pytest's workers as cores.
test: $(STAMP)
	@PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n auto --dist loadfile  # a file's tests stay together: some build on each other

check: format-check lint types test

.PHONY: format-check
format-check: $(STAMP)
	@$(BIN)/ruff format --check $(SOURCES)

lint: $(STAMP)
	@$(BIN)/ruff check $(SOURCES)

types: $(STAMP)
	@$(BIN)/mypy

format: $(STAMP)
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)

docs: $(STAMP)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "site/index.html"

clean:
	rm -rf $(VENV) .typing demo site .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
