#!/usr/bin/env bash
# Compares the speed of training, evaluation and policy updates with PyTorch's eager mode, on one machine, in turns.
#
#   scripts/benchmark.sh                       everything that this machine can run, 2 threads
#   scripts/benchmark.sh train-mobile update   some figures
#   THREADS=1 ROUNDS=5 scripts/benchmark.sh    another number of threads, and of rounds
#
# Run it on an otherwise idle machine: it prints the load before and after. Each round times ours and PyTorch's work once,
# one after the other; the ratio is that of the fastest runs, above 1 where ours is faster. scripts/libtorch.sh provides
# PyTorch. The last lines are `ratio NAME VALUE`, with `missing` where something was not measured.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

threads=${THREADS:-2}
rounds=${ROUNDS:-3}
pytorch=$(scripts/libtorch.sh)
python=.venv-libtorch/bin/python
target=${CARGO_TARGET_DIR:-target}/release/examples
export RAYON_NUM_THREADS=$threads OMP_NUM_THREADS=$threads

echo "building" >&2
# At once, so that both have the same features of their dependencies.
cargo build --release --quiet -p child -p controller --example training_benchmark --example update_benchmark
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$target/training_benchmark" "$target/update_benchmark" "$folder"
training=$folder/training_benchmark

names=("$@")
if [[ ${#names[@]} == 0 ]]; then
    mapfile -t names < <("$training" names)
    names+=(train-tch-cpu train-tch-cuda update)
fi

# LibTorch's own engine, by the same program with the feature `tch`.
with_tch() (
    eval "$pytorch"
    "$@"
)
if [[ " ${names[*]} " == *" train-tch"* ]] &&
    with_tch cargo build --release --quiet -p child -p controller --example training_benchmark --features child/tch; then
    cp "$target/training_benchmark" "$folder/with_tch"
fi

declare -A ours theirs
keep() { # ARRAY NAME VALUE BETTER: keeps the better value; BETTER is `>` or `<`.
    local -n values=$1
    if [[ -z ${values[$2]:-} ]] || awk "BEGIN { exit !($3 $4 ${values[$2]}) }"; then
        values[$2]=$3
    fi
}

echo "load before: $(cut -d' ' -f1-3 /proc/loadavg)" >&2
for ((round = 1; round <= rounds; round++)); do
    for name in "${names[@]}"; do
        echo "round $round of $rounds: $name" >&2
        case $name in
        update)
            keep ours $name "$("$folder/update_benchmark" | cut -d' ' -f2)" '<'
            keep theirs $name "$($python scripts/benchmark_torch.py update "$threads")" '<'
            ;;
        train-quickstart)
            # Its networks are too small for PyTorch: compared with burn.
            keep ours $name "$("$training" time native $name)" '>'
            keep theirs $name "$("$training" time flex $name)" '>'
            ;;
        train-tch-cpu | train-tch-cuda)
            [[ -x $folder/with_tch ]] || continue
            device=${name#train-tch-}
            ours_on=${device/cuda/cuda:0}
            of=train-nasbench201-b64
            "$training" describe $of >"$folder/$name.json"
            if value=$(with_tch "$folder/with_tch" time "tch:$ours_on" $of 2>/dev/null); then
                keep ours $name "$value" '>'
                keep theirs $name "$($python scripts/benchmark_torch.py train "$folder/$name.json" "$threads" "$device")" '>'
            fi
            ;;
        *)
            "$training" describe "$name" >"$folder/$name.json"
            keep ours "$name" "$("$training" time native "$name")" '>'
            keep theirs "$name" "$($python scripts/benchmark_torch.py train "$folder/$name.json" "$threads")" '>'
            ;;
        esac
    done
done
echo "load after: $(cut -d' ' -f1-3 /proc/loadavg)" >&2

printf '%-24s %10s %10s   %s threads; images per second, for update milliseconds\n' '' ours reference "$threads"
for name in "${names[@]}"; do
    printf '%-24s %10s %10s\n' "$name" "${ours[$name]:--}" "${theirs[$name]:--}"
done
for name in "${names[@]}"; do
    if [[ -z ${ours[$name]:-} || -z ${theirs[$name]:-} ]]; then
        echo "ratio $name missing"
    elif [[ $name == update ]]; then
        awk "BEGIN { printf \"ratio %s %.2f\n\", \"$name\", ${theirs[$name]} / ${ours[$name]} }"
    else
        awk "BEGIN { printf \"ratio %s %.2f\n\", \"$name\", ${ours[$name]} / ${theirs[$name]} }"
    fi
done
