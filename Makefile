# `make run` measures the example, `make test` runs all checks, `make help` lists the other targets.
# Requires Python 3.11 or later with venv; torch.compile also needs a C++ compiler. PYTHON=python3.12 selects a Python.

PYTHON   ?= python3
MODEL    ?= examples/models/resnet.py
RUNTIMES ?= ort torch-eager torch-compiled
ENVS     ?= ort torch
TESTS    ?= tests
# Processes that run tests; each file of tests runs in one of them.
PROCESSES ?= 2
# How long `make fuzz` takes, in seconds, shared by all fuzzers.
FUZZ_S   ?= 3600
FUZZERS   = $(wildcard tests/reliability/test_fuzz_*.py)
BENCH    ?= overhead bias host_time repeatability comparisons conda deep_networks kills sweeps listing

# How environments are installed: conda, venv, container, adopted, or auto (conda if its channel answers, else venv).
ifdef PROVIDER
export ISOBENCH_PROVIDER := $(PROVIDER)
endif

VENV   := .venv
BIN    := $(VENV)/bin
# Stamp files, written last: an interrupted step is not taken for a finished one.
LOCKED := $(VENV)/.locked
HOST   := $(VENV)/.isobench
DEV    := $(VENV)/.dev
PIP    := PIP_USER=0 $(BIN)/python -m pip --disable-pip-version-check --quiet
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: run test lint docs envs bench fuzz reliability gpu-check locks clean podman slurm help again

run: $(HOST)  ## benchmark MODEL on RUNTIMES, each in its own environment
	$(BIN)/isobench env create $(ENVS)
	$(BIN)/isobench run $(addprefix -r ,$(RUNTIMES)) $(MODEL)

test: lint  ## what CI runs: lint, then all tests, with a few trials of each in tests/reliability
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) $(TESTS)

lint: $(HOST) $(DEV)  ## ruff (format and rules), mypy --strict, import-linter
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(HOST)  ## write what is generated: tables of result-schema.md and suites.md, the JSON Schema of suites
	$(BIN)/python docs/generate.py

envs: $(HOST)  ## create every environment that this machine can use (PROVIDER=conda, venv)
	$(BIN)/isobench env create --all

bench: $(HOST)  ## benchmark isobench itself (BENCH): overhead, bias, host time, repeatability, comparisons, conda, deep_networks, kills, sweeps, listing; one hour
	$(BIN)/isobench env create ort
	for name in $(BENCH); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit; done

fuzz: $(HOST) $(DEV)  ## all fuzzers for FUZZ_S seconds (3600) in all; a failure names the trial that repeats it
	each=$$($(BIN)/python -m pytest --quiet --collect-only $(FUZZERS) | grep -c ::) && \
	    ISOBENCH_FUZZ_S=$$(($(FUZZ_S) * $(PROCESSES) / each)) $(BIN)/python -m pytest --numprocesses $(PROCESSES) $(FUZZERS)

reliability: $(HOST) $(DEV)  ## every trial of tests/reliability, not only a few of each: docs/reliability.md
	ISOBENCH_TRIALS=all $(BIN)/python -m pytest --numprocesses $(PROCESSES) tests/reliability

gpu-check: $(HOST)  ## run every runtime on the NVIDIA GPU, three models; ADOPT="torch-cuda=/opt/torch/bin/python ..."
	$(BIN)/python benchmarks/gpu_check.py $(addprefix --adopt ,$(ADOPT))

podman:  ## install podman if possible; without it, the container tests are skipped
	@command -v podman || timeout 120 apt-get install --yes --no-install-recommends podman runc >/dev/null 2>&1 || \
	    echo "podman can't be installed: the container tests will be skipped"

slurm:  ## install Slurm and munge if possible; without them, the tests on a cluster of this machine are skipped
	@PATH="$$PATH:/usr/sbin" command -v slurmctld && PATH="$$PATH:/usr/sbin" command -v munged || \
	    timeout 120 apt-get install --yes --no-install-recommends slurm-wlm munge >/dev/null 2>&1 || \
	    echo "Slurm can't be installed: its tests will be skipped"

locks: $(HOST)  ## rewrite requirements.txt and requirements-dev.txt, the hashed locks of the host
	$(BIN)/$(COMPILE) requirements.in --output-file requirements.txt
	$(BIN)/$(COMPILE) requirements-dev.in --output-file requirements-dev.txt

clean:  ## delete .venv and caches; environments and results (ISOBENCH_HOME) stay
	rm -rf $(VENV) build dist src/isobench.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# Rebuilt as well if the Python of .venv is gone.
$(LOCKED): requirements.txt $(if $(wildcard $(BIN)/python),,again)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "isobench needs Python 3.11 or later; $(PYTHON) is `$(PYTHON) --version 2>&1`." >&2; \
	    echo "Use another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	    echo "$(PYTHON) has no venv or ensurepip: install its venv package (Debian: python3-venv)." >&2; exit 1; }
	@echo "creating $(VENV) from requirements.txt"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes --only-binary :all: --requirement requirements.txt
	@touch $@

$(HOST): $(LOCKED) setup.cfg pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@# pip compiles only what it copies. Without this, workers (python -B) would compile their modules at each start.
	@$(BIN)/python -m compileall -q src/isobench workers
	@touch $@

# If this is interrupted, .venv is in an unknown state: without the first stamp it is rebuilt from scratch.
$(DEV): $(LOCKED) requirements-dev.txt
	@echo "adding requirements-dev.txt to $(VENV)"
	@mv $(LOCKED) $(LOCKED).unfinished
	@$(PIP) install --require-hashes --only-binary :all: --requirement requirements-dev.txt
	@mv $(LOCKED).unfinished $(LOCKED)
	@touch $@

again:
