# make run     the four points of the example sweep; ARGS='...' replaces them
# make test    the tests; PYTEST_ARGS='-m "not slow"' for the quick ones
# make test-exhaustive    whole grids of kernels, 400 carried schedules, more recipes, 50 killed sweeps and runs on a
#              lab's servers, of which the tests take a part
# make check   linter, formatter and type checker
# make ui      MLflow's UI on the project's store
# make gpu-check   what of target=cuda is right and fast on the NVIDIA GPU of this machine, in less than eight minutes;
#              without a GPU it says so in one line, ends with 0 and changes nothing. docs/boards.md has the rest
# make gpu-wheels  what gpu-check installs, as files in gpu-wheels/, to be carried to a machine without a network
# Each sets up what it needs on its first use: .venv and workers/ansor/.venv.

ARGS ?= -m model=vgg16,resnet18 algo=direct,gemm
PYTEST_ARGS ?=
PYTEST = OMP_WAIT_POLICY=passive $(VENV)/bin/python -m pytest --numprocesses=2 --no-loadscope-reorder
VENV := .venv
WORKER := workers/ansor/.venv
CANDIDATES := python3.11 python3.12 python3.13 python3
FITS := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PYTHON ?= $(shell for p in $(CANDIDATES); do $$p -c '$(FITS)' 2>/dev/null && echo $$p && break; done)

HAS_GPU := import ctypes as c; d = c.CDLL("libcuda.so.1"); n = c.c_int(); d.cuInit(0); d.cuDeviceGetCount(c.byref(n)); 1 / n.value
WHEELS := gpu-wheels

.PHONY: run test test-exhaustive check ui gpu-check gpu-wheels setup ansor-worker

run: setup ansor-worker
	$(VENV)/bin/python -m dlas.run $(ARGS)

test: setup ansor-worker
	$(PYTEST) $(PYTEST_ARGS)

test-exhaustive: setup ansor-worker $(VENV)/.compilers-ready
	$(PYTEST) -m exhaustive $(PYTEST_ARGS)

check: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

ui: setup
	$(VENV)/bin/python -m dlas.ui

gpu-check:
	@if $(or $(PYTHON),python3) -c '$(HAS_GPU)' 2>/dev/null; then \
		$(MAKE) --no-print-directory $(VENV)/.gpu-ready && $(VENV)/bin/python benchmarks/gpu/check.py; \
	else echo "No NVIDIA GPU with its driver is here: nothing was checked or changed"; fi

gpu-wheels:
	$(call make_venv,$(VENV))
	$(VENV)/bin/python -m pip wheel --constraint constraints.txt --wheel-dir $(WHEELS) '.[cuda]' 'hatchling>=1.27,<2' editables

setup: $(VENV)/.ready

ansor-worker: $(WORKER)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	$(call make_venv,$(VENV))
	@echo "==> installing what DLAS needs into $(VENV), about 2.2 GB, a few minutes the first time"
	$(VENV)/bin/python -m pip install --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(VENV)/.gpu-ready: pyproject.toml constraints.txt
	$(call make_venv,$(VENV))
	$(VENV)/bin/python -m pip install --constraint constraints.txt --editable '.[cuda]' \
		$(if $(wildcard $(WHEELS)),--no-index --find-links $(WHEELS))
	@touch $@

$(VENV)/.compilers-ready: $(VENV)/.ready
	$(VENV)/bin/python -m pip install --constraint constraints.txt --editable '.[executorch,iree]'
	@touch $@

$(WORKER)/.ready: workers/ansor/requirements.txt
	$(call make_venv,$(WORKER))
	@echo "==> installing the Ansor tuner's own TVM into $(WORKER), about 1 GB"
	$(WORKER)/bin/python -m pip install --requirement workers/ansor/requirements.txt
	@touch $@

define make_venv
@if [ -z "$(PYTHON)" ]; then \
	echo "There is no Python 3.11 to 3.13 with venv here. Install one (Debian, Ubuntu: apt install python3-venv)" >&2; \
	echo "or name one: make setup PYTHON=/path/to/python3.12" >&2; exit 1; fi
@echo "==> $(1) with $(PYTHON)"
@test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
endef
