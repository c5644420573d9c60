# make app: the demo on http://127.0.0.1:7860    make test: every check    make bench: how fast it is here    make soak: 15 minutes of load
# make lock: write the lock files anew    make audit: known holes in what they name    make clean: forget the environment
# The lock files name versions and hashes. LOCKED=no takes the newest within the ranges instead, unchecked.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHOWN := $(shell sed -n 's/.*"run": *"\([^"]*\)".*/\1/p' checkpoints/shown.json)
# Without PyTorch, where the network that the page shows has a graph for ONNX Runtime.
RUNTIME := requirements-$(if $(wildcard checkpoints/$(SHOWN)/graph.onnx),serve,dev)
LOCKED ?= yes
KIND := $(if $(filter no,$(LOCKED)),txt,lock)
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command 'make lock'

.PHONY: app test bench soak lock audit clean

app: $(VENV)/.$(RUNTIME).$(KIND)
	$(BIN)/python app.py

test: $(VENV)/.requirements-dev.$(KIND)
	sh scripts/ensure_chromium.sh
	sh scripts/ensure_nginx.sh $(VENV)/nginx
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

bench: $(VENV)/.requirements-dev.$(KIND)
	$(BIN)/python -m scripts.bench

soak: $(VENV)/.requirements-dev.$(KIND)
	$(BIN)/python -m scripts.soak

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 10) else "Python 3.10 or newer is needed; try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.%.lock: %.lock | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --require-hashes -r $<
	touch $@

$(VENV)/.%.txt: %.txt requirements.txt requirements-lite2.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -r $<
	touch $@

# Keeps the versions that are there and still fit; UPGRADE=--upgrade takes the newest.
lock: | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet uv
	$(COMPILE) $(UPGRADE) requirements-dev.txt --output-file requirements-dev.lock
	$(COMPILE) $(UPGRADE) requirements-serve.txt --constraints requirements-dev.lock --output-file requirements-serve.lock

# --strict: a package that could not be looked up is an error, not a pass.
audit: | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements-dev.lock

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
