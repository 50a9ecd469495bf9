# Two commands matter: `make demo` and `make test`. Both set up what they need.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
# A process per core, each on one thread; a file stays in one process, as its tests share what they set up.
PARALLEL := -n auto --dist loadfile

.PHONY: setup demo reproduce test test-all bench check clean

# Networks this small compute best on one thread, while a second process loads.
demo: $(READY)
	OMP_NUM_THREADS=1 $(RUN) -m hsa_bench.run --preset demo --workers 1 --out runs/demo

# HSA against MoCo v2 and SimCLR on CIFAR-10, some hours on a CPU: docs/results/cifar10.md. Killed, it goes on.
DATA ?= data
reproduce: $(READY)
	OMP_NUM_THREADS=1 $(RUN) -m hsa_bench.reproduce cifar10 --data $(DATA) --workers 1 --out runs/cifar10

test: check
	$(RUN) -m pytest $(PARALLEL) -m "not long"

# Ratios to a peer in the same run. Threads spin, as they do where nothing else runs.
bench: $(READY)
	$(RUN) -m pip install --quiet -c constraints.txt -e ".[bench]"
	OMP_NUM_THREADS=$$(getconf _NPROCESSORS_ONLN) OMP_WAIT_POLICY=active $(RUN) -m pytest --benchmark-enable --benchmark-only -s tests/benchmarks

test-all: check
	$(RUN) -m pytest $(PARALLEL)

check: $(READY)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hsa_bench needs Python 3.11 or newer; set PYTHON=…")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf runs $(VENV)
