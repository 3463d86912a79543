#!/usr/bin/env bash
# Compares our search strategies with other programs' on a table of real measurements: all with the same seeds, scored
# by the hypervolume that they reached after so many evaluations. Writes a table, a CSV and a plot.
#
#   scripts/compare_peers.sh TABLE.csv            everything, 20 seeds of 300 evaluations
#   scripts/compare_peers.sh --help               options and examples
#   CONTROLLER=FILE scripts/compare_peers.sh …    this program as ours, instead of building it
#
# The peers run in a Python environment, `.venv-peers`, made anew only when `scripts/requirements-peers.txt` changes
# (some 400 MB). Optuna's Gaussian process needs PyTorch besides: installed only where `--peers` names `gp`.
set -euo pipefail
cd_from=$PWD
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

requirements=$root/scripts/requirements-peers.txt
program=$root/scripts/compare_peers
environment=$root/.venv-peers
python=$environment/bin/python

say() { echo "compare_peers.sh: $*" >&2; }

# Whether a Python is new enough for the packages, and can make environments with pip inside.
suits() { "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

if ! suits python3; then
    say "there is no Python 3.11 or newer with venv: install python3 and python3-venv"
    exit 1
fi
for argument; do
    if [[ $argument == -h || $argument == --help ]]; then
        exec python3 "$program/options.py" --help
    fi
done
# What is wrong with the options is said before anything is built or installed.
needs=$(python3 "$program/options.py" "$@")

wanted=$(python3 -c 'import hashlib, sys
print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest(), sys.version.split()[0])' "$requirements")
if [[ $(cat "$environment/made-from" 2>/dev/null) != "$wanted" ]]; then
    say "making $environment for Python ${wanted#* } (some 400 MB)"
    python3 -m venv --clear "$environment"
    "$python" -m pip install --quiet --requirement "$requirements" >&2
    # A folder half made has no `made-from`, and so is not taken for a whole one the next time.
    echo "$wanted" >"$environment/made-from"
fi
if [[ " $needs " == *" torch "* ]] && ! "$python" -c 'import torch' 2>/dev/null; then
    say "installing PyTorch for Optuna's Gaussian process (on Linux some 7 GB)"
    "$python" -m pip install --quiet torch >&2
fi

if [[ " $needs " == *" controller "* && -z ${CONTROLLER:-} ]]; then
    say "building the controller"
    (cd "$root" && cargo build --release --quiet -p controller)
    CONTROLLER=$(cd "$root" && realpath "${CARGO_TARGET_DIR:-target}")/release/controller
fi
export CONTROLLER=${CONTROLLER:-}

# One thread a run, for all alike: the runs go side by side, and their times can be compared.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 RAYON_NUM_THREADS=1
cd "$cd_from"
exec "$python" "$program" "$@"
