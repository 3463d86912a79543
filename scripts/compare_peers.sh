#!/usr/bin/env bash
# Compares the strategies with other searches on a table of NAS-Bench-201 measurements.
#
#   scripts/compare_peers.sh TABLE.csv [options]
#
#   scripts/compare_peers.sh table.csv                                20 seeds, 300 evaluations: some CPU minutes
#   scripts/compare_peers.sh table.csv --seeds 2 --evaluations 60     a first look
#   scripts/compare_peers.sh table.csv --methods model-based,nsga2    two methods only
#   scripts/compare_peers.sh table.csv --methods model-based,gp       Gaussian processes too: installs PyTorch, 7 GB
#
# Options:
#   --seeds N          seeds 0 to N-1, the same for every method [default: 20]
#   --evaluations N    different cells that a run may evaluate [default: 300]
#   --max-error E      bound on the error, as a fraction [default: 0.20]
#   --methods A,B,..   methods, in the order of the table [default: all but gp]
#                      ours:  model-based, bayesian, policy-gradient, evolution, random
#                      peers: local (local search), archai (the algorithm of Archai's EvolutionParetoSearch, with its
#                      defaults), nsga2, tpe, gp (Optuna's samplers: population of 20; multivariate; 10 to start)
#   --jobs N           runs at the same time, one thread each [default: one for each core]
#   --out DIR          folder of the results [default: compare]
#   --no-build         use target/release/controller as it is
#
# Output:
#   stdout                a Markdown table
#   DIR/summary.csv       the same: mean and worst seed at some numbers of evaluations, and the median number of
#                         evaluations to 0.95, 0.97, 0.98; an empty cell where half of the seeds did not reach it
#   DIR/comparison.csv    at every number of evaluations: mean, 95 % confidence band of the mean (bootstrap over the
#                         seeds), worst seed
#   DIR/comparison.png    mean and band as a plot
#   DIR/runs/             the cells of each run, in order. A run that is there is not repeated, so more seeds or methods
#                         cost only their own runs, and an interrupted comparison resumes. A run is repeated if the
#                         table, a setting, the controller or the peers' packages have changed.
#
# The score is the hypervolume of a run's cells (error, time and energy, all minimised), as a share of that of the whole
# table. It is measured in the box of deployable cells: error up to the bound; time and energy up to their smallest value
# in the table and 1.1 times their range.
#
# Fairness: every method sees a cell's row only by evaluating the cell, and a repeated evaluation costs nothing. Every
# method that supports a bound on the error receives it: ours as --bound, NSGA-II, TPE and GP as a constraint; local search
# and Archai's evolution do not support one. Ours run with their defaults.
#
# The table is a CSV with the columns architecture (|nor_conv_3x3~0|+|skip_connect~0|none~1|+|..|..|..|),
# valid_accuracy_percent, time_ms and energy_mj, and a row for each of the 15,625 cells. Time and energy on a device are
# in HW-NAS-Bench (Li et al. 2021, https://github.com/GATECH-EIC/HW-NAS-Bench); the accuracies in NAS-Bench-201 and
# NATS-Bench (Dong et al., https://github.com/D-X-Y/NATS-Bench). Join them on the architecture.
#
# Python packages are installed in .venv-peers, which needs Python 3.9 or newer.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
requirements=$root/scripts/requirements-peers.txt
environment=$root/.venv-peers
python=$environment/bin/python
# For gp alone. The version of libtorch.sh, so that pip downloads it only once.
torch=2.9.0

say() { echo "compare_peers.sh: $*" >&2; }

help() { sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

# Succeeds if a Python is new enough and can make environments with pip.
suits() { "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; }

python_environment() {
    local wanted
    if ! suits python3; then
        say "no Python 3.9 or newer with venv: install python3 and python3-venv"
        exit 1
    fi
    wanted=$(python3 -c 'import hashlib, sys
print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest(), sys.version.split()[0])' "$requirements")
    if [[ $(cat "$environment/made-from" 2>/dev/null) != "$wanted" ]]; then
        say "making $environment for Python ${wanted#* } (some 250 MB)"
        python3 -m venv --clear "$environment"
        # Keeps the environment out of version control.
        echo '*' >"$environment/.gitignore"
        if ! "$python" -m pip install --quiet --requirement "$requirements" >&2; then
            say "the packages of $requirements cannot be installed"
            exit 1
        fi
        # An incomplete folder has no `made-from`, so the next run makes it again.
        echo "$wanted" >"$environment/made-from"
    fi
}

gp_packages() {
    if ! "$python" -c 'import scipy, torch' 2>/dev/null; then
        say "installing PyTorch $torch into $environment for gp (7 GB)"
        if ! "$python" -m pip install --quiet "torch==$torch" scipy >&2; then
            say "PyTorch $torch cannot be installed (it needs Python 3.10 or newer): leave gp out of --methods"
            exit 1
        fi
    fi
}

build=true methods='' previous='' arguments=()
for argument in "$@"; do
    case $argument in
        -h | --help) help; exit ;;
        --no-build) build=false; continue ;;
        --methods=*) methods=${argument#*=} ;;
    esac
    if [[ $previous == --methods ]]; then
        methods=$argument
    fi
    previous=$argument
    arguments+=("$argument")
done
if ((${#arguments[@]} == 0)); then
    help >&2
    exit 2
fi

python_environment
if [[ ",$methods," == *,gp,* ]]; then
    gp_packages
fi
if $build; then
    if ! command -v cargo >/dev/null; then
        say "cargo is missing: install Rust from https://rustup.rs, or give --no-build if the controller is built"
        exit 1
    fi
    # Reports a wrong option before minutes of building.
    "$python" "$root/scripts/compare_peers.py" --check "${arguments[@]}"
    say "building the controller"
    # Cargo looks for its settings in the current folder; the paths in the arguments belong to the caller's folder.
    (cd "$root" && cargo build --release --quiet -p controller)
fi
exec "$python" "$root/scripts/compare_peers.py" "${arguments[@]}"
