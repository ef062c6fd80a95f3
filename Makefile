# Two commands matter: `make app` and `make test`. Both set up what they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PORT   ?= 8501

.PHONY: app test test-all lint bench screenshots examples clean help

help:
	@echo "make app        set up and start the advisor (http://127.0.0.1:$(PORT))"
	@echo "make test       lint, types, import contracts, tests, browser tests"
	@echo "make test-all   the same and the slower proofs"
	@echo "make bench      the figures that the docs quote"

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 app")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

$(VENV)/.app: $(VENV)/.python requirements.txt
	@echo "Installing what the app needs (a few minutes, once) ..."
	$(BIN)/python -m pip install --quiet -r requirements.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.app requirements-dev.txt
	@echo "Installing what the tests need ..."
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch $@

examples/breast_cancer.joblib: examples/make_examples.py $(VENV)/.app
	$(BIN)/python examples/make_examples.py

examples: examples/breast_cancer.joblib

app: $(VENV)/.app examples/breast_cancer.joblib
	@$(BIN)/python -c 'import socket; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", $(PORT)))' 2>/dev/null || { echo "Port $(PORT) is taken; choose another: make app PORT=$$(($(PORT) + 1))" >&2; exit 2; }
	@echo "The advisor is at http://127.0.0.1:$(PORT)  (stop it with Ctrl+C)"
	$(BIN)/streamlit run streamlit_app.py --server.port $(PORT)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint examples/breast_cancer.joblib
	$(BIN)/python tools/run_tests.py

test-all: lint examples/breast_cancer.joblib
	$(BIN)/python tools/run_tests.py --all

bench: $(VENV)/.dev examples/breast_cancer.joblib
	$(BIN)/python -m benchmarks

screenshots: $(VENV)/.dev examples/breast_cancer.joblib
	$(BIN)/python tools/screenshots.py

clean:
	rm -rf $(VENV) .base-image .venv-emulator .venv-scanner .mypy_cache .ruff_cache .pytest_cache .hypothesis
