#!/usr/bin/env bash
# All that a CUDA card has to show, in one command of under ten minutes, without a network: tests/gpu/run.sh
#
#   CARRIED=FOLDER   wheels to install from, where the machine has no .venv (docs/gpu.md tells how to gather them);
#                    llama-cpp-python among them as a wheel for CUDA, or as its source, which nvcc then builds here
#   OUT=FOLDER       where logs and tables go (default: build/gpu); docs/gpu.md gets the tables at the end
#   STEPS="A B"      these steps alone
#   REHEARSE=1       on the CPU, with a small shape; the page then goes into OUT too
set -uo pipefail
cd "$(dirname "$0")/../.."
OUT=${OUT:-build/gpu}
TOTAL=580 # seconds, all steps together
mkdir -p "$OUT"
: >"$OUT/steps.tsv"
export PYTHONPATH=$PWD
if [ -n "${REHEARSE:-}" ]; then
  device=cpu shape=rehearsal tokens=32 questions=1 many="--questions 8 --alone 2 --parallel 4 --max-tokens 16"
  decode="1 8" page=$OUT/gpu.md
  cp docs/gpu.md "$page"
else
  device=cuda shape=mistral-7b tokens=128 questions=3 many="--questions 64 --alone 4 --parallel 8 32 --max-tokens 96"
  decode="1 8 16 64" page=docs/gpu.md
fi

# step NAME LIMIT COMMAND...: run it for LIMIT seconds at most, keep what it says, and go on whatever comes of it.
step() {
  local name=$1 limit=$2 begun=$SECONDS left=$((TOTAL - SECONDS)) code
  shift 2
  [[ -z ${STEPS:-} || " $STEPS " == *" $name "* ]] || return 0
  echo "== $name" >&2
  rm -f "$OUT/$name.md" # of an earlier run
  timeout $((left < 1 ? 1 : limit < left ? limit : left)) "$@" >"$OUT/$name.log" 2>&1
  code=$?
  tail -3 "$OUT/$name.log" >&2
  printf '%s\t%s\t%s\n' "$name" $((SECONDS - begun)) $code >>"$OUT/steps.tsv"
  return $code
}

build() {
  [ -x .venv/bin/solve ] && return # make install did it
  local python=${PYTHON:-python3} amx="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
  "$python" -m venv .venv || return
  "$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$(echo .venv/lib/python3*/site-packages)/machine.pth"
  local pip=(.venv/bin/python -m pip install --quiet --no-index --no-deps)
  local llama=("${CARRIED:?no .venv here: name the folder of carried wheels}"/llama_cpp_python-*)
  "${pip[@]}" "$CARRIED"/*.whl || return
  [[ ${llama[0]} == *.whl ]] && return
  CFLAGS=$amx CXXFLAGS=$amx CMAKE_ARGS="-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES=native -DLLAVA_BUILD=off" "${pip[@]}" --no-build-isolation "${llama[0]}"
}
export -f build

step build 320 bash -c build
python=.venv/bin/python
models=$OUT/models
step models 60 $python -m convert reference:policy --quant f16 q4_k_m --output "$models" --force
step doctor 60 $python -m profiles doctor
step tests 120 $python -m pytest -q -m gpu tests/runtime
step rebase 240 $python tests/gpu/rebase.py "$models" --shape $shape --device $device --questions $questions --tokens $tokens
step large 60 $python tests/gpu/random_model.py $shape q4_k_m "$models/$shape.gguf" --like "$models/policy-q4_k_m.gguf"
step latency 90 $python -m profiles latency --policy "$models/$shape.gguf" --device $device --prefill 512 --decode $decode \
  --repeats 3 --output "$OUT/latency.md" --force
step parallel 60 $python tests/benchmarks/scheduler_speed.py "$models/$shape.gguf" --device $device $many
step onnx-models 60 $python -m convert reference:policy --format onnx --quant fp16 int4 --output "$models" --force
step onnx 60 $python -m profiles latency --policy "$models/policy-fp16.onnx" "$models/policy-int4.onnx" --device $device \
  --prefill 128 --decode 1 16 --repeats 3 --output "$OUT/onnx.md" --force
rm -rf "$models"
$python tests/gpu/page.py "$OUT" "$page" || exit 1
failed=$(awk -F '\t' '$3 != 0 { print $1 }' "$OUT/steps.tsv" | xargs)
echo "$SECONDS s; tables in $page, logs in $OUT${failed:+; failed: $failed}" >&2
[ -z "$failed" ]
