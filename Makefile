# The two commands: `make demo` and `make test`. Each sets up all it needs in .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt
CORE := $(VENV)/.core
DEV := $(VENV)/.dev
ALL := $(VENV)/.all
DIST_VENV := build/dist-venv

.PHONY: help demo test test-slow test-gpu test-random test-isa coverage check matrix dist setup bench docs results examples format
.PHONY: constraints clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(CORE) ## train plain and residual twins on real digits and write pages that show the result (4 minutes)
	$(BIN)/reslab demo

# on the CPU everywhere: what is held to the last bit is held there
test: $(DEV) ## run the fast tests
	CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not gpu" -n 2 --dist worksteal

# another order each time finds tests that lean on one another; a failure is repeated with: make test-random SEEDS=N
SEEDS ?= 1 2
test-random: $(DEV) ## run the fast tests in a random order, once for each of SEEDS
	for seed in $(SEEDS); do \
	  CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not gpu" -n 2 --dist worksteal \
	    -p randomly --randomly-seed=$$seed --randomly-dont-reset-seed || exit 1; \
	done

test-isa: $(DEV) ## run the fast tests as on every kind of processor that this one can stand for (half an hour)
	$(BIN)/python tools/test_isa.py

coverage: $(DEV) ## run the fast tests and fail below the coverage that pyproject.toml asks for
	CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not gpu" -n 2 --dist worksteal \
	  --cov --cov-report=term:skip-covered

test-slow: $(DEV) ## run the long tests, one after the other
	CUDA_VISIBLE_DEVICES= $(BIN)/python -m pytest -m "slow and not gpu"

test-gpu: $(DEV) ## run the tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu

check: $(ALL) ## lint, types, layers, voice, generated tables, docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python tools/check_voice.py
	$(BIN)/python tools/check_types.py
	$(BIN)/python tools/make_tables.py --check
	$(BIN)/python tools/make_book.py --check
	$(BIN)/python -m mkdocs build --strict -q

matrix: ## test every claimed Python with the lowest and the newest versions, as far as they are on this machine
	$(PYTHON) tools/matrix

dist: ## build the sdist and the wheel into dist/, check both, and run the wheel in an empty environment
	rm -rf dist $(DIST_VENV) && $(PYTHON) -m venv $(DIST_VENV)
	$(DIST_VENV)/bin/python -m pip --disable-pip-version-check install -q -c constraints.txt build twine hatchling
	$(DIST_VENV)/bin/python -m build --no-isolation
	$(DIST_VENV)/bin/python tools/check_dist.py

format: $(DEV) ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(ALL) ## install everything, for development

bench: $(DEV) ## measure against peers, into results/bench/ (an hour; needs RESLAB_DATA and an idle machine)
	$(BIN)/python -m benchmarks

docs: $(ALL) ## build the documentation into site/
	$(BIN)/python -m mkdocs build --strict

results: $(CORE) ## make the tables and the figures in README and docs from results/
	$(BIN)/python tools/make_tables.py
	$(BIN)/python tools/make_plots.py
	$(BIN)/python tools/make_book.py
	$(BIN)/reslab compare $(sort $(wildcard results/digits-*/*.json)) --output docs/images/demo.svg

RUNS ?= runs
examples: $(CORE) ## make the pages in docs/examples again (RUNS=FOLDER with the runs cifar-resnet20, imagenette and demo; needs RESLAB_DATA)
	$(BIN)/reslab report $(RUNS)/cifar-resnet20 --output docs/examples/cifar-resnet20.html
	$(BIN)/reslab report $(RUNS)/imagenette --output docs/examples/imagenette-resnet18.html
	$(BIN)/reslab report $(RUNS)/demo/digits-resnet20/0 --output docs/examples/digits-resnet20.html
	cp $(RUNS)/demo/index.html docs/examples/digits-demo.html

constraints: ## resolve every dependency again and pin it
	rm -rf .venv-constraints && $(PYTHON) -m venv .venv-constraints
	.venv-constraints/bin/pip install -q torch==2.13.0
	.venv-constraints/bin/pip install -q '.[report,onnx,openvino,hub,docs,dev]' hatchling editables build twine
	head -2 constraints.txt > constraints.new
	.venv-constraints/bin/pip freeze --exclude reslab | sed 's/+cpu$$//' >> constraints.new
	mv constraints.new constraints.txt && rm -rf .venv-constraints

clean: ## remove what was built; runs and results stay
	rm -rf $(VENV) site build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "reslab needs Python 3.11 or newer; say which with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "python3 -m venv failed; on Debian and Ubuntu install python3-venv first." >&2; rm -rf $(VENV); exit 1; }

# torch first and alone, so that nothing else can choose another build of it
$(CORE): $(BIN)/python constraints.txt pyproject.toml
	$(PIP) torch
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation -e '.[report]'
	@touch $@

$(DEV): $(CORE)
	$(PIP) --no-build-isolation -e '.[report,onnx,openvino,hub,dev]'
	@touch $@

$(ALL): $(DEV)
	$(PIP) --no-build-isolation -e '.[report,onnx,openvino,hub,dev,docs]'
	@touch $@
