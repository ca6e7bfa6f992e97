#!/usr/bin/env bash
# All that a CUDA card has to show, in one command of under ten minutes, without a network: tests/gpu/run.sh
#
#   CARRIED=FOLDER   wheels to install from, where the machine has no .venv (docs/gpu.md tells how to gather them); a
#                    wheel of llama-cpp-python for CUDA among them, or its source, which is then built here with nvcc
#   OUT=FOLDER       where logs and tables go (default: build/gpu); docs/gpu.md gets the tables at the end
#   REHEARSE=1       on the CPU, with a small shape, into OUT alone
set -uo pipefail
cd "$(dirname "$0")/../.."
OUT=${OUT:-build/gpu}
mkdir -p "$OUT"
: >"$OUT/steps.tsv"
export PYTHONPATH=$PWD PATH=$PWD/.venv/bin:$PATH
if [ -n "${REHEARSE:-}" ]; then
  device=cpu shape=rehearsal levels="q4_k_m q8_0" tokens=32 questions=1 many="--questions 8 --alone 2 --parallel 4 --max-tokens 16"
  page=$OUT/gpu.md
  cp docs/gpu.md "$page"
else
  device=cuda shape=mistral-7b levels="q4_k_m q8_0" tokens=128 questions=3 many="--questions 64 --alone 4 --parallel 8 32 --max-tokens 96"
  page=docs/gpu.md
fi

# step NAME LIMIT COMMAND...: run it for LIMIT seconds at most, keep what it says, and go on whatever comes of it.
step() {
  local name=$1 limit=$2 begun=$SECONDS code
  shift 2
  echo "== $name" >&2
  timeout "$limit" "$@" >"$OUT/$name.log" 2>&1
  code=$?
  tail -3 "$OUT/$name.log" >&2
  printf '%s\t%s\t%s\n' "$name" $((SECONDS - begun)) $code >>"$OUT/steps.tsv"
  return $code
}

build() {
  [ -x .venv/bin/solve ] && return # make install did it
  python3 -m venv --system-site-packages .venv
  local source pip=(.venv/bin/python -m pip install --quiet --no-index --no-deps)
  local wheels=("${CARRIED:?no .venv here: name the folder of carried wheels}"/*.whl)
  "${pip[@]}" "${wheels[@]}" || return
  source=$(ls "$CARRIED"/llama_cpp_python-*.tar.gz 2>/dev/null) || return 0
  CMAKE_ARGS="-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES=native" "${pip[@]}" --no-build-isolation "$source"
}
export -f build

step build 300 bash -c build
python=.venv/bin/python
models=$OUT/models
step convert 60 $python -m convert.cli reference:policy --quant f16 q4_k_m q8_0 --output "$models" --force || exit 1
step onnx-convert 60 $python -m convert.cli reference:policy --format onnx --quant fp16 int4 --output "$models" --force
step doctor 60 $python -m profiles.cli doctor
step tests 120 $python -m pytest -q -m gpu
step rebase 240 $python tests/gpu/rebase.py "$models" --shape $shape --levels $levels --device $device --questions $questions --tokens $tokens
step large 60 $python tests/gpu/random_model.py $shape q4_k_m "$models/large.gguf" --like "$models/policy-q4_k_m.gguf"
step latency 60 $python -m profiles.cli latency --policy "$models/large.gguf" --device $device --prefill 512 --decode 1 8 16 64 \
  --repeats 3 --output "$OUT/latency.md" --force
step parallel 60 $python tests/benchmarks/scheduler_speed.py "$models/large.gguf" --device $device $many
step onnx 60 $python -m profiles.cli latency --policy "$models/policy-fp16.onnx" "$models/policy-int4.onnx" --device $device \
  --prefill 128 --decode 1 16 --repeats 3 --output "$OUT/onnx.md" --force
rm -rf "$models"
$python tests/gpu/page.py "$OUT" "$page" || exit 1
echo "in $SECONDS s; tables in $page, logs in $OUT" >&2
! awk -F '\t' '$3 != 0 { failed = 1; print $1 " failed" > "/dev/stderr" } END { exit failed != 1 }' "$OUT/steps.tsv"
