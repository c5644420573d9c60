# make app: the demo on http://127.0.0.1:7860    make test: every check    make bench: how fast it is here    make clean:
# forget the environment
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHOWN := $(shell sed -n 's/.*"run": *"\([^"]*\)".*/\1/p' checkpoints/shown.json)
# Without PyTorch, where the network that the page shows has a graph for ONNX Runtime.
RUNTIME := $(if $(wildcard checkpoints/$(SHOWN)/graph.onnx),requirements-serve.txt,requirements.txt)

.PHONY: app test bench clean

app: $(VENV)/.$(RUNTIME)
	$(BIN)/python app.py

test: $(VENV)/.dev
	sh scripts/ensure_chromium.sh
	sh scripts/ensure_nginx.sh $(VENV)/nginx
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

bench: $(VENV)/.dev
	$(BIN)/python -m scripts.bench

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 10) else "Python 3.10 or newer is needed; try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.$(RUNTIME): $(RUNTIME) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -r $(RUNTIME)
	touch $@

$(VENV)/.dev: requirements.txt requirements-dev.txt requirements-lite2.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
