#!/usr/bin/env bash
# A long search on a log: checks that its memory and time stop growing, and that its run folder can be read.
#
#   scripts/soak.sh [FOLDER]                          20,000 evaluations of each strategy, half an hour and more;
#                                                     figures go to FOLDER
#   STRATEGIES="random evolution policy-gradient" scripts/soak.sh  a minute
#   SVG=docs/soak.svg scripts/soak.sh                 draws memory and time over the evaluations into that file
#   CONTROLLER=path scripts/soak.sh                   another build of the program
#
# The log is synthetic, and its text says so; see scripts/soak.py. With `.venv` (made by scripts/test.sh), TensorBoard's own
# loader reads the events.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

evaluations=${EVALUATIONS:-20000}
read -ra strategies <<<"${STRATEGIES:-random evolution policy-gradient model-based}"
controller=${CONTROLLER:-$root/target/release/controller}
folder=${1:-$(mktemp -d)}
svg=${SVG:-$folder/soak.svg}
mkdir -p "$folder"

if [[ ! -x $controller ]]; then
    cargo build --release --quiet -p controller
fi

fail() {
    echo "soak.sh: $*" >&2
    exit 1
}

# Seconds of a command, whose output goes to a file.
seconds() {
    local out=$1 begun
    shift
    begun=$(date +%s%N)
    "$@" >"$out"
    echo "$(($(date +%s%N) - begun))" | awk '{ printf "%.2f", $1 / 1e9 }'
}

python3 scripts/soak.py table "$folder"
watches=()
for strategy in "${strategies[@]}"; do
    run=$folder/$strategy
    rm -rf "$run"
    python3 scripts/soak.py watch "$run/measurements.csv" "$folder/$strategy.csv" \
        "$controller" replay "$folder/table.csv" --experiment "$folder/experiment.toml" --strategy "$strategy" \
        --evaluations "$evaluations" --quiet --out "$run"
    rows=$(grep -c ",ok," "$run/measurements.csv")
    [[ $rows == "$evaluations" ]] || fail "$strategy: $rows rows, not $evaluations"
    front=$(seconds "$folder/front.json" "$controller" front "$run" --json)
    resume=$(seconds /dev/null "$controller" --resume "$run" --quiet)
    events=""
    if [[ -x .venv/bin/python ]]; then
        events=", events read in $(seconds "$folder/events.json" .venv/bin/python tests/read_events.py "$run") s"
    fi
    echo "$strategy: front in $front s, --resume of the finished run in $resume s$events"
    watches+=("$strategy=$folder/$strategy.csv")
done
python3 scripts/soak.py plot "$svg" "${watches[@]}"
echo "figures: $folder, plot: $svg"
