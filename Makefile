# Everything runs in .venv, which the first target that needs it makes: Python >= 3.11 with its headers, g++
# and make are enough.
#
# TORCH_INDEX names the package index that torch alone comes from. Without it, the default index gives its usual build,
# on Linux a CUDA one of several GB. PyTorch's own install page names the index of CPU builds.

PYTHON ?= python3
TORCH_INDEX ?=
# How long, in seconds, each run of the fuzzer takes.
FUZZ_S ?= 20
# Processes that run the tests, a thread each; one more than this project's two cores, as tests also wait for servers.
TEST_PROCESSES ?= 3

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The server that the tests of Milvus galleries start has its own environment, without bitreid.
VENV_MILVUS := .venv-milvus
# The demo is what a user installs, without PyTorch.
VENV_DEMO := .venv-demo
TORCH := $(shell grep '^torch==' constraints.txt)
MILVUS := $(shell grep '^milvus==' constraints.txt)
BUILD := $(shell grep -E '^(cmake|nanobind|ninja|scikit-build-core)==' constraints.txt)
# What was compiled stays in build/editable, so that a change to the kernel takes as long as its own compiling.
EDITABLE := $(PIP) install --no-build-isolation --config-settings build-dir=build/editable --editable
KERNEL := $(wildcard native/*.hpp native/*.inc)
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZER := -std=c++17 -g -pthread -Wno-psabi native/fuzz.cpp

# A kernel that does not compile is an error here; elsewhere an install goes on with the numpy twin.
export BITREID_REQUIRE_KERNEL := 1
# Sanitizers abort, so that the fuzzer can print its input. Leaks are not looked for: Python does not free all at its end.
export ASAN_OPTIONS := abort_on_error=1:detect_leaks=0
export UBSAN_OPTIONS := abort_on_error=1:print_stacktrace=1

.DEFAULT_GOAL := help
.PHONY: help demo demo-train docs test lint native wheel release sanitize fuzz neon format clean chromium

help: ## List these targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: $(VENV_DEMO)/.installed ## Draw people, find them with the model that comes with bitreid: seconds after the install
	$(VENV_DEMO)/bin/bitreid demo --out demo

demo-train: native ## Draw people, train on them, search, end with a report: three to four minutes on two cores
	$(BIN)/bitreid demo --train --out demo

test: lint native chromium $(VENV_MILVUS)/.installed ## Lint, then all tests that need no GPU, with the coverage gate
	$(BIN)/python -m pytest -m "not gpu" -n $(TEST_PROCESSES) --dist loadgroup --no-loadscope-reorder --cov=bitreid --cov-fail-under=90

docs: $(VENV)/.native ## Build the documentation's site into build/site; a link that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: $(INSTALLED) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

native: $(VENV)/.native ## Compile the kernel anew if its sources have changed

wheel: native ## Build the wheel into dist/: for any processor of this kind, and this machine's C library or a newer one
	$(PIP) wheel --no-build-isolation --no-deps --wheel-dir dist .

# The wheel is made of the source distribution, so what that lacks is seen; in build environments of its own, as a
# stranger's pip has them. Then the wheel is used where nothing else of this checkout is.
release: ## Build both distributions into dist/, check them, and use the wheel in a fresh environment: minutes
	rm -rf build/release dist
	$(PYTHON) -m venv build/release/tools
	$(PYTHON) -m venv build/release/fresh
	build/release/tools/bin/python -m pip --disable-pip-version-check install -q build twine
	build/release/tools/bin/python -m build --outdir dist .
	build/release/tools/bin/python -m twine check --strict dist/*
	build/release/fresh/bin/python -m pip --disable-pip-version-check install -q --constraint constraints.txt \
	  "$$(echo dist/*.whl)[drawn,report]"
	cd build/release && fresh/bin/bitreid --version && fresh/bin/bitreid info && fresh/bin/bitreid demo --out demo

# Fuzzes the kernel, then builds it with sanitizers and runs its Python tests in a copy of the tree; without the editable
# install (-S), which would come first.
sanitize: native build/sanitize/fuzz ## Fuzz and test the kernel under AddressSanitizer and UBSan: two to three minutes
	build/sanitize/fuzz $(FUZZ_S)
	$(BIN)/cmake -S native -B build/sanitize/module -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja \
	  -DCMAKE_BUILD_TYPE=RelWithDebInfo -DBITREID_SANITIZE=ON -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python \
	  -Dnanobind_DIR=$$($(BIN)/python -m nanobind --cmake_dir)
	$(BIN)/cmake --build build/sanitize/module
	rm -rf build/sanitize/tree && mkdir build/sanitize/tree
	cp -r bitreid tests pyproject.toml build/sanitize/tree
	$(BIN)/cmake --install build/sanitize/module --prefix build/sanitize/tree
	site=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))') && cd build/sanitize/tree && \
	  LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libubsan.so) \
	    $$($(CXX) -print-file-name=libstdc++.so)" \
	  PYTHONMALLOC=malloc PYTHONPATH="$$PWD:$$site" $(CURDIR)/$(BIN)/python -S -m pytest -q -n $(TEST_PROCESSES) tests/hamming

# libFuzzer where clang has it: it looks for inputs that reach new code, and keeps them in build/fuzz/corpus.
fuzz: build/sanitize/fuzz ## Fuzz the kernel for FUZZ_S seconds: make fuzz FUZZ_S=600
	mkdir -p build/fuzz/corpus
	if clang++ -O1 $(SANITIZERS) -fsanitize=fuzzer -DBITREID_LIBFUZZER $(FUZZER) -o build/fuzz/libfuzzer; then \
	  build/fuzz/libfuzzer -max_total_time=$(FUZZ_S) -max_len=256 -len_control=0 \
	    -artifact_prefix=build/fuzz/ build/fuzz/corpus; \
	else build/sanitize/fuzz $(FUZZ_S); fi

build/sanitize/fuzz: native/fuzz.cpp $(KERNEL)
	mkdir -p $(@D)
	$(CXX) -O1 $(SANITIZERS) $(FUZZER) -o $@

# Debian's cross compiler and emulator are installed where that is possible without asking anybody.
neon: native/fuzz.cpp $(KERNEL) ## Fuzz the kernel's path for ARM processors in an emulator
	@{ command -v aarch64-linux-gnu-g++ && { command -v qemu-aarch64 || command -v qemu-aarch64-static; }; } >/dev/null || { \
	  test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq && \
	  apt-get install -y -qq --no-install-recommends g++-aarch64-linux-gnu qemu-user; } || { \
	  echo "expected a compiler and an emulator for ARM processors, got none;" \
	    "install them: sudo apt-get install g++-aarch64-linux-gnu qemu-user"; exit 1; }
	mkdir -p build/neon
	aarch64-linux-gnu-g++ -O2 -static $(FUZZER) -o build/neon/fuzz
	$$(command -v qemu-aarch64 || command -v qemu-aarch64-static) build/neon/fuzz $(FUZZ_S) | tee build/neon/log
	grep -q 'comparing neon ' build/neon/log && grep -q 'no difference' build/neon/log

# A test opens the report in a browser. Debian's is installed where that is possible without asking anybody.
chromium:
	@command -v chromium >/dev/null || { \
	  test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq && \
	  apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; } || { \
	  echo "expected the browser chromium, which the tests of the report open pages with, got none;" \
	    "install it: sudo apt-get install chromium"; exit 1; }

format: $(INSTALLED) ## Let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove the environment, the demo and what tools left behind
	rm -rf $(VENV) $(VENV_MILVUS) $(VENV_DEMO) demo build dist *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# torch comes first, alone and without constraints: TORCH_INDEX need not have the pinned versions of what torch needs.
# The third step moves those to the pins and leaves torch as it is.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "expected Python 3.11 or newer; name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install $(TORCH) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(PIP) install --constraint constraints.txt $(BUILD)
	$(EDITABLE) '.[dev]' --constraint constraints.txt
	touch $@

$(VENV_DEMO)/.installed: pyproject.toml constraints.txt native/CMakeLists.txt native/hamming.cpp $(KERNEL)
	$(PYTHON) -m venv $(VENV_DEMO)
	$(VENV_DEMO)/bin/python -m pip --disable-pip-version-check install --editable '.[drawn,report]' \
	  --constraint constraints.txt
	touch $@

$(VENV)/.native: native/CMakeLists.txt native/hamming.cpp $(KERNEL) | $(INSTALLED)
	$(EDITABLE) . --no-deps
	touch $@

$(VENV_MILVUS)/.installed: constraints.txt
	$(PYTHON) -m venv $(VENV_MILVUS)
	$(VENV_MILVUS)/bin/python -m pip --disable-pip-version-check install $(MILVUS)
	touch $@
