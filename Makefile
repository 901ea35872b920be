# make demo   attack a real classifier: pictures and figures in runs/demo
# make test   everything that continuous integration runs
# make servers  an inference server, whose tests `make test` then runs as well: minutes, once a week elsewhere
# make python-tests PYTEST=--weekly  the Python tests, with those that take too long for every change
# make docs   the documentation, in build/docs/index.html
# make format make the sources look as `make test` wants them

# Of what is installed most is never imported.
export PIP_NO_COMPILE := 1

PYTHON ?= python3
VENV ?= .venv
DATA ?= ../shared/data
BIN := $(abspath $(VENV))/bin
TOOLS := $(abspath $(VENV))/tools
SOURCES := $(shell find cpp python CMakeLists.txt pyproject.toml README.md -type f -not -name '*.pyc')
CPP := $(shell find cpp tests/cpp -name '*.hpp' -o -name '*.cpp')
# Once a week also optimised, and without OpenMP: PRESETS='tests serial'.
PRESETS ?= sanitized
PROMISES := $(addprefix tests/test_,$(addsuffix .py,arguments core_errors gate run_bad_input run_budget saving spaces ties))

.PHONY: demo docs servers test system-packages lint types cpp-tests fuzz python-tests site-tests format clean

demo: $(VENV)/demo-installed
	$(BIN)/python -m dfa.demo --out runs/demo

# What is missing is told of last, so that all else is tested first. Two targets at a time, in this order as soon as what
# they need is there: while pip installs the frameworks, the core is built and tested from a small environment.
test: system-packages
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target cpp-tests fuzz python-tests docs lint types site-tests
	@tests/system_packages.sh --check

# What pip does not have: the header of doctest, and a browser for the pages.
system-packages:
	@tests/system_packages.sh --install

lint: $(TOOLS)/installed
	$(TOOLS)/bin/ruff format --check .
	$(TOOLS)/bin/ruff check .
	$(TOOLS)/bin/clang-format --dry-run -Werror $(CPP)

types: $(VENV)/wheel-installed
	$(BIN)/mypy
	# From elsewhere, so that the installed package is looked at and not the sources.
	cd $(VENV) && $(BIN)/python -m mypy.stubtest dfa._core --allowlist $(CURDIR)/tests/stubtest-allowlist.txt

cpp-tests: $(TOOLS)/installed
	@tests/system_packages.sh --has doctest || { echo "make cpp-tests: skipped, doctest's header is missing"; exit 0; }; \
	set -e; export PATH="$(TOOLS)/bin:$$PATH"; for preset in $(PRESETS); do \
	  cmake --preset $$preset $${DFA_DOCTEST_DIR:+-DDFA_DOCTEST_DIR="$$DFA_DOCTEST_DIR"}; \
	  cmake --build --preset $$preset; \
	  ctest --preset $$preset; done

# The extension under the sanitizers, whose libraries Python must load before it; none is known of compilers but GCC.
# What they say of a crash is no test's output, so none is captured. What leaks is Python's own.
SANITIZED := build/sanitized
SANITIZER := $(shell c++ -print-file-name=libasan.so)
FUZZED ?= 10000
# One build folder serves both.
fuzz: $(TOOLS)/installed | $(filter cpp-tests,$(MAKECMDGOALS))
ifeq ($(findstring /,$(SANITIZER)),)
	@echo "make fuzz: skipped, it needs GCC with its libasan.so"
else
	set -e; export PATH="$(TOOLS)/bin:$$PATH"; \
	  cmake --preset fuzz -DPython_EXECUTABLE=$(TOOLS)/bin/python -Dpybind11_DIR="$$(python -m pybind11 --cmakedir)"; \
	  cmake --build --preset fuzz
	rm -rf $(SANITIZED)/package
	mkdir $(SANITIZED)/package
	cp -R python/dfa $(SANITIZED)/package
	cp $(SANITIZED)/_core*.so $(SANITIZED)/package/dfa
	LD_PRELOAD="$(SANITIZER) $(shell c++ -print-file-name=libstdc++.so)" \
	  ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
	  PYTHONPATH=$(SANITIZED)/package $(TOOLS)/bin/python -m pytest tests/test_core_fuzz.py tests/test_core_sizes.py \
	  --capture=sys --sanitized --fuzzed=$(FUZZED) --numprocesses=logical --maxprocesses=4 --dist=worksteal
endif

# Runs are made safe on a disk hundreds of times: in memory, where there is room for 2 GB, that takes no time.
python-tests: export PYTEST_DEBUG_TEMPROOT := $(shell test \
  "$$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 {print $$4}')" -gt 2000000 2>/dev/null && echo /dev/shm)
python-tests: $(VENV)/wheel-installed
	# Most tests keep one core busy. Beyond a few workers, each with its own framework, memory runs out before cores do.
	$(BIN)/python -m pytest tests --ignore=tests/test_docs_site.py --data=$(DATA) $(PYTEST) --numprocesses=logical --maxprocesses=4 --dist=worksteal
	# What users are promised does not hang on an assert, which `python -O` leaves out.
	$(BIN)/python -O -m pytest $(PROMISES) --numprocesses=logical --maxprocesses=4 --dist=worksteal

docs: $(VENV)/wheel-installed
	$(BIN)/python -m sphinx -W --keep-going --fresh-env -b html docs build/docs

# The built pages, in a browser.
site-tests: docs
	$(BIN)/python -m pytest tests/test_docs_site.py --numprocesses=logical --maxprocesses=2 --dist=worksteal

format: $(TOOLS)/installed
	$(TOOLS)/bin/ruff check --fix .
	$(TOOLS)/bin/ruff format .
	$(TOOLS)/bin/clang-format -i $(CPP)

clean:
	rm -rf build dist $(VENV)

$(VENV)/created:
	@PYTHON=$(PYTHON) tests/system_packages.sh --python
	$(PYTHON) -m venv $(VENV)
	# Dependency groups need pip 25.1.
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	touch $@

$(VENV)/demo-installed: $(VENV)/created $(SOURCES)
	$(BIN)/python -m pip install --quiet '.[demo]'
	touch $@

# Of its own, as pip must not run twice at a time in one environment, and what is tested in it must not change meanwhile.
$(TOOLS)/installed: $(VENV)/created pyproject.toml
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(TOOLS)/bin/python -m pip install --quiet --group core
	touch $@

$(VENV)/frameworks-installed: $(VENV)/created pyproject.toml
	$(BIN)/python -m pip install --quiet --group test --group backends --group attacks --group docs
	$(BIN)/python -m pip install --quiet --no-deps 'torchattacks>=3.5'
	touch $@

# A server of the Open Inference Protocol, in an environment of its own: it asks for other packages than the tests have.
# It is not there for Python 3.13 and later, where its tests are skipped.
MLSERVER := $(VENV)/servers/mlserver
servers: $(MLSERVER)/installed

$(MLSERVER)/installed: $(VENV)/created pyproject.toml
	mkdir -p $(MLSERVER)
	if $(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; then \
	  $(PYTHON) -m venv $(MLSERVER) && \
	  $(MLSERVER)/bin/python -m pip install --quiet --upgrade 'pip>=25.1' && \
	  $(MLSERVER)/bin/python -m pip install --quiet --group mlserver; fi
	touch $@

$(VENV)/wheel-built: $(VENV)/created $(SOURCES)
	rm -rf dist
	DFA_WARNINGS_AS_ERRORS=ON $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	touch $@

# The wheel is tested, not the tree.
$(VENV)/wheel-installed: $(VENV)/frameworks-installed $(VENV)/wheel-built
	$(BIN)/python -m pip install --quiet "$$(ls dist/*.whl)[demo,pandas,cli,report,tflite]"
	$(BIN)/python -m pip install --quiet --no-deps --force-reinstall dist/*.whl
	touch $@
