# make test: everything CI checks.  make demo: every system at a few levels on a few questions of the
# reference benchmark -> report/
# make results: all levels on a hundred.  All set up .venv from a bare clone: python3 >= 3.11 and a C++ compiler are enough.
# make test-vulkan: what a card does by Vulkan against what the CPU does; Mesa's driver for the CPU will do (docs/gpu.md).

PYTHON ?= python3
BIN := .venv/bin
CACHE ?= $(or $(HOME),$(CURDIR)/.venv)/.cache/starbase-edge
# The CUDA build of llama.cpp where a compiler and a card are there; BACKEND=cpu, cuda or vulkan overrides.
BACKEND ?= $(shell nvcc --version >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1 && echo cuda || echo cpu)
# llama.cpp is built for this very processor, but for AMX: GCC before 12.4, 13.3 and 14 miscompiles it.
CPU := $(shell grep -m1 -E '^(flags|Features)' /proc/cpuinfo 2>/dev/null | cksum | cut -d' ' -f1)
AMX := -mno-amx-tile -mno-amx-int8 -mno-amx-bf16
NO_AMX := $(shell $(CXX) $(AMX) -x c++ -fsyntax-only /dev/null 2>/dev/null && echo $(AMX))
WHEELS := $(CACHE)/wheels/$(BACKEND)-$(CPU)
LEAN := -DLLAVA_BUILD=off -DCMAKE_PROJECT_llama.cpp_INCLUDE=$(abspath $(WHEELS))/lean.cmake
FLAGS_cuda := -DGGML_CUDA=on
# Vulkan's C++ headers, where those of the system are older than 1.3.272 or are not there: the folder that holds vulkan/.
VULKAN_INCLUDE ?=
FLAGS_vulkan := -DGGML_VULKAN=on $(if $(VULKAN_INCLUDE),-DVulkan_INCLUDE_DIR=$(abspath $(VULKAN_INCLUDE)))
ONNX_cpu := onnx
ONNX_cuda := onnx-gpu
ONNX_vulkan := onnx
LLAMA := $(shell grep '^llama-cpp-python==' constraints.txt)
WHEEL := $(WHEELS)/llama_cpp_python-$(lastword $(subst ==, ,$(LLAMA)))-*.whl

# What a demo tries; make results measures all of it.
LEVELS := f16 q4_k_m q2_k
ONNX_LEVELS := int4
THINK_LEVELS := q4_k_m
QUESTIONS := 12
PARALLEL := --parallel auto --latency-questions 4
FIDELITY := --chunks 80
DRIFT := --problems 8
LATENCY := --prefill 128 --decode 1 8 64 --repeats 2
ALL := LEVELS="f16 q8_0 q4_k_m q3_k_s q2_k" ONNX_LEVELS="int8 int4" THINK_LEVELS="f16 q4_k_m" \
  QUESTIONS=100 PARALLEL= FIDELITY= DRIFT= LATENCY=

.PHONY: install wheel rebuild demo results test test-vulkan clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it with PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(MAKE) wheel
	$(BIN)/python -m pip install --quiet --find-links $(WHEELS) --constraint constraints.txt -e ".[dev,serve,$(ONNX_$(BACKEND))]"
	-$(BIN)/profile doctor
	touch $@

# llama.cpp for BACKEND, built once and kept; prints the file. Without what reads pictures and the library of its tools.
wheel:
	@ls $(WHEEL) 2>/dev/null || \
	  { echo "building llama.cpp for $(BACKEND), once; this takes minutes" >&2; mkdir -p $(WHEELS); \
	    echo 'set(LLAMA_BUILD_COMMON OFF CACHE BOOL "" FORCE)' >$(WHEELS)/lean.cmake; \
	    CFLAGS="$$CFLAGS $(NO_AMX)" CXXFLAGS="$$CXXFLAGS $(NO_AMX)" CMAKE_ARGS="$(LEAN) $(FLAGS_$(BACKEND))" \
	      $(BIN)/python -m pip wheel --quiet --no-deps --no-cache-dir --wheel-dir $(WHEELS) $(LLAMA) && ls $(WHEEL); }

# llama.cpp built anew, for another compiler or processor.
rebuild:
	rm -rf $(WHEELS) .venv/installed
	$(BIN)/python -m pip uninstall --quiet --yes llama-cpp-python
	$(MAKE) install

demo: install
	$(BIN)/convert reference:policy --quant $(LEVELS) --output models --force
	$(BIN)/convert reference:reward --quant $(LEVELS) --output models --force
	$(BIN)/convert reference:thinker --quant $(LEVELS) --output models --force
	$(BIN)/convert reference:policy --format onnx --quant $(ONNX_LEVELS) --output models --force
	$(BIN)/convert reference:reward --format onnx --quant $(ONNX_LEVELS) --output models --force
	$(BIN)/profile run --formats gguf onnx --levels $(LEVELS) $(ONNX_LEVELS) --think off on gated \
	  --think-levels $(THINK_LEVELS) --limit $(QUESTIONS) $(PARALLEL) --output report --force
	$(BIN)/profile fidelity --levels $(LEVELS) $(FIDELITY) --output report/fidelity.json --force
	$(BIN)/profile reward-grid --levels q4_k_m --limit $(QUESTIONS) --output report/reward-grid.json --force
	$(BIN)/profile drift --levels $(LEVELS) $(DRIFT) --output report/drift.json --force
	$(BIN)/profile latency --levels $(LEVELS) $(LATENCY) --output report/latency.json --force
	$(BIN)/profile report report
	@echo "open report/index.html"

results:
	$(MAKE) demo $(ALL)

test: .venv/clients
	tests/check

test-vulkan: .venv/installed
	VULKAN_INCLUDE="$(VULKAN_INCLUDE)" tests/vulkan/run.sh

.venv/clients: .venv/installed
	$(BIN)/python -m pip install --quiet --find-links $(WHEELS) --constraint constraints.txt \
	  -e ".[dev,serve,clients,$(ONNX_$(BACKEND))]"
	touch $@

clean:
	rm -rf .venv models report
