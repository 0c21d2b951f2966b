# Everything here needs Python 3.11 or later with its headers, a C compiler and make; the rest is installed into a
# virtual environment. PYTHON=python3.13 make test uses another Python, in an environment of its own.

PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d.%d" % sys.version_info[:3] + sys.abiflags)')
VENV ?= .venv$(if $(filter-out python3,$(PYTHON)),-$(VERSION))
# More words for the command that a target runs: make test ARGS="-k timers -x"
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check
PEERS := uvloop rloop
SOURCES := $(sort setup.py pyproject.toml $(wildcard MANIFEST.in README.md LICENSE) \
    $(shell find src examples -type f -name '*.py' -o -name '*.pxd' -o -name '*.h' -o -name py.typed -o -path 'src/sooner/bench/*.c'))

export SOONER_REQUIRE_COMPILED = 1

.NOTPARALLEL:
.PHONY: help demo bench test test-pure test-all conformance libraries sanitize lint format docs build install clean force

help:
	@echo 'make demo         what sooner does, on one screen'
	@echo 'make test         the tests, compiled'
	@echo 'make test-pure    the tests, uncompiled'
	@echo 'make test-all     both, on every CPython of this machine and of a Debian testing root that it makes'
	@echo 'make sanitize     the tests under the address and undefined behaviour sanitizers'
	@echo "make conformance  CPython's own asyncio tests, on sooner"
	@echo "make libraries    other libraries' own tests, on asyncio and on sooner; takes a quarter of an hour"
	@echo 'make bench        the loops of this machine, measured side by side'
	@echo 'make lint         style and types;  make format: put the style right'
	@echo 'make docs         the pages, into site/'
	@echo 'make build        sdist and wheel, into dist/'
	@echo 'make clean        remove whatever these made'

demo: $(VENV)/.sooner $(VENV)/.peers
	$(BIN)/sooner demo

bench: $(VENV)/.sooner $(VENV)/.peers $(VENV)/.plots
	$(BIN)/sooner bench $(ARGS)

test: $(VENV)/.sooner $(VENV)/.test
	SOONER_EXPECT=compiled $(BIN)/python -m pytest $(ARGS)

test-pure: $(VENV)/.sooner $(VENV)/.test
	SOONER_PURE=1 $(BIN)/python -m pytest $(ARGS)

test-all:
	$(PYTHON) scripts/test-all $(ARGS)

conformance: $(VENV)/.sooner $(VENV)/.test
	$(BIN)/python -m conformance $(ARGS)

libraries: $(VENV)/.sooner $(VENV)/.test
	$(BIN)/python tests/libraries $(ARGS)

sanitize: $(VENV)/.test
	scripts/sanitize --python $(BIN)/python $(ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict $(ARGS)

build: $(VENV)/.made-$(VERSION)
	$(PIP) install build
	$(BIN)/python -m build

install: $(VENV)/.sooner

clean:
	rm -rf .venv .venv-* build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find src -name '*.so' -delete -o -name not_compiled.txt -delete
	find src -name '*.c' ! -path 'src/sooner/bench/*' -delete

# The environment. Its version is in the name of the file that says it is complete, so that another Python under the
# same name makes another one.
$(VENV)/.made-$(VERSION):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo '$(PYTHON) is not Python 3.11 or later. Name another one: PYTHON=python3.13 make ...'; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	    || { echo '$(PYTHON) cannot make virtual environments. Debian: apt-get install python3-venv'; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --upgrade 'pip>=25.1'
	$(PIP) install --group build
	@touch $@

$(VENV)/.test $(VENV)/.lint $(VENV)/.docs: $(VENV)/.%: $(VENV)/.made-$(VERSION) pyproject.toml
	$(PIP) install --group $*
	@touch $@

# Not every Python has every peer: the comparison does with those that install.
$(VENV)/.peers: $(VENV)/.made-$(VERSION)
	@for peer in $(PEERS); do $(PIP) install --only-binary :all: $$peer || echo "$$peer cannot be installed: left out"; done
	@touch $@

$(VENV)/.plots: $(VENV)/.sooner
	$(PIP) install 'sooner[bench]'
	@touch $@

# sooner, as its users get it. It is built from a copy, so that several Pythons can do that at once and nothing that an
# older build left behind gets in; and it is built again whenever the content of a file has changed.
$(VENV)/.sooner: $(VENV)/.content
	@$(BIN)/python -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' \
	    || { echo 'The headers of $(PYTHON) are missing. Debian: apt-get install python3-dev'; exit 1; }
	rm -rf $(VENV)/source
	mkdir $(VENV)/source
	cp -R $(wildcard setup.py pyproject.toml MANIFEST.in README.md LICENSE src examples) $(VENV)/source
	$(PIP) install --no-build-isolation --force-reinstall --no-deps $(abspath $(VENV))/source
	$(PIP) install 'sooner[cli]'
	@touch $@

$(VENV)/.content: $(VENV)/.made-$(VERSION) force
	@{ echo '$(SOONER_CFLAGS) $(SOONER_SANITIZE)'; sha256sum $(SOURCES); } >$@.now
	@if cmp -s $@.now $@; then rm $@.now; else mv $@.now $@; fi
