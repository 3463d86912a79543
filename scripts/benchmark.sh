#!/usr/bin/env bash
# Compares the speed of training, evaluation and policy updates with PyTorch's eager mode, in one run on one machine.
#
#   scripts/benchmark.sh              the default backend, 2 threads
#   THREADS=1 scripts/benchmark.sh    another number of threads
#   BACKEND=tch scripts/benchmark.sh  another backend for the training
#
# Run it on an otherwise idle machine. scripts/libtorch.sh provides PyTorch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

threads=${THREADS:-2}
backend=${BACKEND:-flex}
pytorch=$(scripts/libtorch.sh)
if [[ $backend == tch ]]; then
    eval "$pytorch"
fi

echo "building" >&2
cargo build --release --quiet -p child --example training_benchmark --features "$backend"
cargo build --release --quiet -p controller --example update_benchmark

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export RAYON_NUM_THREADS=$threads OMP_NUM_THREADS=$threads
echo "timing ours" >&2
target/release/examples/training_benchmark "$backend" >"$folder/ours"
target/release/examples/update_benchmark >>"$folder/ours"
echo "timing PyTorch" >&2
.venv-libtorch/bin/python scripts/benchmark_torch.py "$threads" >"$folder/pytorch"

# Every ratio is one of speeds: above 1 where ours is faster.
awk -v backend="$backend" -v threads="$threads" '
    NR == FNR { theirs[$1] = $2; next }
    FNR == 1 { printf "%-20s %10s %10s %7s   %s threads\n", "", backend, "PyTorch", "ratio", threads }
    { printf "%-20s %10s %10s %7.2f\n", $1, $2, theirs[$1], $1 ~ /^ms/ ? theirs[$1] / $2 : $2 / theirs[$1] }
' "$folder/pytorch" "$folder/ours"
