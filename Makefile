# What `make help` says:
#
#   make demo    build the example: from LeNet-300-100 to verified Verilog in build/demo
#   make test    run the tests; those in a four-state simulator need Icarus (apt install iverilog)
#   make test-long  run the long tests, which `make test` leaves out
#   make lint    check the sources, and the Verilog of example engines
#   make docs    build the documentation site in build/docs; a dead link is an error
#   make package build the wheel in build/dist, and try it in an environment of its own
#   make boards  install the tools for bitstreams
#   make mutants   try the RTL's tests on mutants of its netlists; goes on where it was stopped
#   make coverage  measure what the tests that simulate Verilog meet; goes on where it was stopped
#   make prove   prove the hardware's components; goes on where it was stopped
#   make verify  run some minutes of all that verifies: proofs, mutants, faults, and more
#   make clean   delete all that was built, but not .venv
#   make bitstream-sparse     the demo's network for a board, sparse engine with 16 PEs
#   make bitstream-systolic   LeNet-5 for a board, systolic engine with 12 x 12 PEs
#
# Variables:
#   PYTHON=python3.12      Python 3.11 or later, from which .venv is made (default: python3)
#   JOBS=4                 tests to run at a time (default: 2)
#   PYTEST_ARGS="-k emit"  more arguments for pytest
#   DEMO_ARGS="--pes 64"   more arguments for the demo's `eieio build`
#   MUTANTS_ARGS="--per-component 100"  more arguments for `make mutants`
#   COVERAGE_ARGS="--holes rtl/bus"     more arguments for `make coverage`
#   PROVE_ARGS="--only uart"  more arguments for `make prove`
#   VERIFY_ARGS="--minutes 60"  more arguments for `make verify`; --slice is what CI runs
#   BOARD=ecpix5-85f       board of the bitstreams (default: ulx3s-85f)
#
# All that Python needs is installed into .venv, in the versions of constraints.txt.

PYTHON ?= python3
JOBS ?= 2
PYTEST_ARGS ?=
DEMO_ARGS ?=
BOARD ?= ulx3s-85f
MUTANTS_ARGS ?=
COVERAGE_ARGS ?=
PROVE_ARGS ?=
VERIFY_ARGS ?=

EXAMPLE := examples/lenet_300_100
BIN := .venv/bin
# Without warnings: setuptools has one that begs for care with what is made here anyway.
PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	--no-build-isolation --constraint constraints.txt
# What Verilator calls; make's own default for CXX is not what it is given.
COMPILER := $(if $(filter default,$(origin CXX)),c++,$(firstword $(CXX)))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-long lint docs package boards bitstream-sparse bitstream-systolic prove \
	mutants coverage verify clean programs FORCE

help:
	@sed -n '3,/^# All that/{/^# All that/d;s/^#  *//p;}' Makefile

demo: programs build/installed/run
	$(BIN)/eieio build $(EXAMPLE)/lenet_300_100.npz --samples $(EXAMPLE)/mnist_test_1000.npz \
		--engine sparse --pes 16 --out build/demo --simulate 100 \
		--json build/demo/report.json $(DEMO_ARGS)

test: programs build/installed/test
	$(BIN)/python -m pytest -n $(JOBS) -m "not long" $(PYTEST_ARGS)

test-long: programs build/installed/test
	$(BIN)/python -m pytest -n $(JOBS) -m long $(PYTEST_ARGS)

lint: programs build/installed/lint
	$(BIN)/ruff check
	$(BIN)/pyright
	@mkdir -p build/lint
	@echo '{"pes": 16}' > build/lint/engine.json
	$(BIN)/eieio generate build/lint/engine.json --out build/lint/design > build/lint/log
	$(BIN)/python -m eieio.sim.lint sparse_engine build/lint/design/rtl/*.v
	@echo '{"rows": 4, "columns": 4, "winograd": 4}' > build/lint/systolic.json
	$(BIN)/eieio generate build/lint/systolic.json --engine systolic --out build/lint/systolic \
		> build/lint/log
	$(BIN)/python -m eieio.sim.lint systolic_engine build/lint/systolic/rtl/*.v

# Anew each time: Sphinx does not repeat the warnings of pages that it keeps.
docs: build/installed/docs
	rm -rf docs/api build/docs build/doctrees
	$(BIN)/python -m sphinx --quiet --fail-on-warning --jobs $(JOBS) -c docs/site -d build/doctrees \
		. build/docs
	@echo "The site's front page is build/docs/index.html."

package: programs build/installed/package
	rm -rf build/dist
	$(BIN)/python -m build --no-isolation --outdir build/dist . > build/package.log 2>&1 \
		|| { cat build/package.log >&2; exit 1; }
	rm -rf eieio.egg-info
	$(BIN)/python benchmarks/installed_wheel.py build/dist/*.whl

boards: programs build/installed/boards

mutants: programs build/installed/test build/installed/verify
	$(BIN)/python benchmarks/mutants.py --jobs $(JOBS) $(MUTANTS_ARGS)

coverage: programs build/installed/test
	$(BIN)/python benchmarks/coverage.py $(COVERAGE_ARGS)

verify: programs build/installed/test build/installed/verify
	$(BIN)/python benchmarks/verify.py --jobs $(JOBS) $(VERIFY_ARGS)

prove: programs build/installed/verify
	$(BIN)/python benchmarks/prove.py --jobs $(JOBS) $(PROVE_ARGS)

bitstream-sparse: programs build/installed/boards
	$(BIN)/eieio synthesize $(EXAMPLE)/lenet_300_100.npz --samples $(EXAMPLE)/mnist_test_1000.npz \
		--engine sparse --pes 16 --board $(BOARD) --attempts 6 --out build/$(BOARD)-sparse \
		--json build/$(BOARD)-sparse.json

bitstream-systolic: programs build/installed/boards
	$(BIN)/eieio synthesize examples/lenet_5/lenet_5.onnx \
		--samples examples/lenet_5/mnist_train_256.npz --engine systolic --rows 12 --columns 12 \
		--lanes 2 --board $(BOARD) --clock 125 --seed 3 --attempts 6 \
		--out build/$(BOARD)-systolic \
		--json build/$(BOARD)-systolic.json

clean:
	rm -rf build docs/api

# Python packages cannot bring these.
define require
@command -v $(1) > /dev/null || { echo "eieio needs $(2), and '$(1)' is not on PATH:" \
	"install it (Debian, Ubuntu: apt install $(3))" >&2; exit 1; }

endef
programs:
	$(call require,$(COMPILER),a C++ compiler,g++)
	$(call require,make,make,make)
	$(call require,perl,perl,perl)

.venv/pyvenv.cfg:
	@command -v $(PYTHON) > /dev/null || { echo "eieio needs Python 3.11 or later, and" \
		"'$(PYTHON)' is not on PATH: install it, or name it by make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "eieio needs Python 3.11 or later, and '$(PYTHON)' is $$($(PYTHON) --version):" \
		"install a later one, or name one by make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
		echo "eieio needs Python's modules ensurepip and venv, which '$(PYTHON)' lacks:" \
		"install them (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv

# The editable installation is a tree of links in build, made anew when it or the list of files
# changes. It is installed for each purpose as far as that needs; `run` also keeps the tree.
build/installed/run: .venv/pyvenv.cfg constraints.txt pyproject.toml build/files
	@mkdir -p $(@D)
	$(PIP) pip setuptools
	$(PIP) --editable .
	@touch $@

EXTRAS_test := test
EXTRAS_lint := test,lint
EXTRAS_docs := docs,tune
EXTRAS_package := package
EXTRAS_boards := boards
EXTRAS_verify := verify
$(addprefix build/installed/,test lint docs package boards verify): build/installed/%: \
		.venv/pyvenv.cfg constraints.txt pyproject.toml | build/installed/run
	$(PIP) --editable '.[$(EXTRAS_$*)]'
	@touch $@

build/files: FORCE
	@mkdir -p $(@D)
	@find model rtl sim training scripts -type f ! -name '*.pyc' | LC_ALL=C sort > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
