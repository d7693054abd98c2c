# Two commands do everything: `make run` and `make test`. `make help` lists the others.
# Needs Python 3.11 or later with venv, and for torch.compile a C++ compiler. PYTHON=python3.12 names another Python.

PYTHON   ?= python3
MODEL    ?= examples/models/resnet.py
RUNTIMES ?= ort torch-eager torch-compiled
ENVS     ?= ort torch
TESTS    ?= tests
BENCH    ?= overhead bias host_time repeatability comparisons conda

# What lays environments down: conda, venv, container, adopted, or auto, which asks whether the conda channel answers.
ifdef PROVIDER
export ISOBENCH_PROVIDER := $(PROVIDER)
endif

VENV   := .venv
BIN    := $(VENV)/bin
# Written last, so that what was cut off in the middle is never taken for done.
LOCKED := $(VENV)/.locked
HOST   := $(VENV)/.isobench
DEV    := $(VENV)/.dev
PIP    := PIP_USER=0 $(BIN)/python -m pip --disable-pip-version-check --quiet
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: run test lint envs bench gpu-check locks clean podman help again

run: $(HOST)  ## benchmark the example (MODEL) on every runtime (RUNTIMES), in environments of their own
	$(BIN)/isobench env create $(ENVS)
	$(BIN)/isobench run $(addprefix -r ,$(RUNTIMES)) $(MODEL)

test: lint  ## everything that CI runs: lint, then unit and integration tests
	$(BIN)/python -m pytest $(TESTS)

lint: $(HOST) $(DEV)  ## ruff (format and rules), mypy --strict, import-linter
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

envs: $(HOST)  ## provision every runtime's environment that this machine can use (PROVIDER=conda, venv)
	$(BIN)/isobench env create --all

bench: $(HOST)  ## measure isobench itself (BENCH): overhead, bias, host time, repeatability, false alarms, power, conda; an hour
	$(BIN)/isobench env create ort
	for name in $(BENCH); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit; done

gpu-check: $(HOST)  ## every runtime on this machine's NVIDIA GPU, three models; ADOPT="torch-cuda=/opt/torch/bin/python ..."
	$(BIN)/python benchmarks/gpu_check.py $(addprefix --adopt ,$(ADOPT))

podman:  ## install podman where that's possible; where it isn't there, the tests of containers are skipped
	@command -v podman || timeout 120 apt-get install --yes --no-install-recommends podman runc >/dev/null 2>&1 || \
	    echo "podman can't be installed here: the tests of containers will be skipped"

locks: $(HOST)  ## make the hashed locks of the host and of its development tools anew
	$(BIN)/$(COMPILE) requirements.in --output-file requirements.txt
	$(BIN)/$(COMPILE) requirements-dev.in --output-file requirements-dev.txt

clean:  ## remove the virtual environment and the caches; environments and results (ISOBENCH_HOME) stay
	rm -rf $(VENV) build dist src/isobench.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# An environment whose Python has gone is made again, too.
$(LOCKED): requirements.txt $(if $(wildcard $(BIN)/python),,again)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "isobench needs Python 3.11 or later; $(PYTHON) is `$(PYTHON) --version 2>&1`." >&2; \
	    echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	    echo "$(PYTHON) can't make virtual environments: install its venv package (Debian: python3-venv)." >&2; exit 1; }
	@echo "making $(VENV) from requirements.txt"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes --only-binary :all: --requirement requirements.txt
	@touch $@

$(HOST): $(LOCKED) setup.cfg pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@# As pip does for what it installs; without it, workers (python -B) would compile theirs at each start.
	@$(BIN)/python -m compileall -q src/isobench workers
	@touch $@

# Cut off in the middle, it leaves no environment to trust: without the first stamp all of it is made again.
$(DEV): $(LOCKED) requirements-dev.txt
	@echo "adding requirements-dev.txt to $(VENV)"
	@mv $(LOCKED) $(LOCKED).unfinished
	@$(PIP) install --require-hashes --only-binary :all: --requirement requirements-dev.txt
	@mv $(LOCKED).unfinished $(LOCKED)
	@touch $@

again:
