#!/usr/bin/env bash
# What a card computes by Vulkan against what the CPU computes: make test-vulkan, with pytest arguments if any.
#
# Builds llama.cpp for Vulkan into a folder of its own, once, and leaves the installed one alone. Any Vulkan driver
# will do, Mesa's for the CPU too. What is missing is told, and nothing is run.
set -euo pipefail
cd "$(dirname "$0")/../.."
include=${VULKAN_INCLUDE:-/usr/include}
missing=()

version() { sed -n "s/^#define VK_HEADER_VERSION_COMPLETE .*(0, \([0-9]*\), \([0-9]*\).*/\1.\2/p" "$1"; }
patch() { sed -n "s/^#define VK_HEADER_VERSION \([0-9]*\)$/\1/p" "$1"; }
compiles() { echo "#include <vulkan/vulkan.hpp>
vk::LayerSettingEXT setting;" | "${CXX:-g++}" -std=c++17 -I "$include" -x c++ -fsyntax-only - 2>/dev/null; }

core=$include/vulkan/vulkan_core.h
if [ -f "$core" ]; then
  headers="Vulkan headers $(version "$core").$(patch "$core")"
  echo "$headers"
  compiles || missing+=("$headers are too old: llama.cpp needs vk::LayerSettingEXT, of 1.3.272 or newer; name newer ones with VULKAN_INCLUDE=FOLDER")
else
  missing+=("no Vulkan headers (libvulkan-dev), or name their folder with VULKAN_INCLUDE=")
fi
[ -f "$include/spirv/unified1/spirv.hpp" ] || [ -f /usr/include/spirv/unified1/spirv.hpp ] || missing+=("no SPIR-V headers (spirv-headers)")
if command -v glslc >/dev/null; then glslc --version | sed -n 1p; else missing+=("no glslc (glslc)"); fi
if command -v vulkaninfo >/dev/null; then
  found=$(vulkaninfo --summary 2>/dev/null | sed -n '/^GPU0/,$p' || true)
  fact() { sed -n "/^\s*$1\s*= /{s///p;q}" <<<"$found"; }
  if [ -n "$found" ]; then
    echo "driver: $(fact deviceName), $(fact driverInfo), Vulkan $(fact apiVersion)"
  else
    missing+=("no Vulkan driver (mesa-vulkan-drivers)")
  fi
else
  missing+=("no vulkaninfo to find a driver by (vulkan-tools)")
fi
if [ ${#missing[@]} -gt 0 ]; then
  printf 'test-vulkan: skipped: %s\n' "${missing[@]}"
  exit 0
fi

export GGML_VK_VISIBLE_DEVICES=${GGML_VK_VISIBLE_DEVICES-0} # names Mesa's driver for the CPU too, which is passed over else
if [ "$(fact deviceType)" = PHYSICAL_DEVICE_TYPE_CPU ]; then
  export GGML_VK_DISABLE_F16=1 GGML_VK_DISABLE_COOPMAT=1 # as llama.cpp's own tests run on it
fi
wheel=$(make --silent --no-print-directory wheel BACKEND=vulkan | tail -1)
libraries=${wheel%.whl}
[ "$libraries" -nt "$wheel" ] || { rm -rf "$libraries"; .venv/bin/python -m zipfile -e "$wheel" "$libraries"; }
export LLAMA_CPP_LIB_PATH=$libraries/llama_cpp/lib
exec .venv/bin/pytest -m vulkan -rs tests/vulkan tests/runtime/test_engine_contract.py "$@"
