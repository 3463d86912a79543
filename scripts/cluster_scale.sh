#!/usr/bin/env bash
# Measures a cluster on this machine: a real server, and 1 to many worker processes that answer from a log after its own
# seconds, on a clock that runs many times as fast.
#
#   scripts/cluster_scale.sh TABLE.csv                   the overhead of a job, then 1 to 256 workers
#   scripts/cluster_scale.sh TABLE.csv 32:20:160         WORKERS:SPEED:TRAININGS
#   scripts/cluster_scale.sh TABLE.csv 0:0:1000 1:0:1000 speed 0 answers at once; 0 workers: this process, without a server
#
# `s/job` is the time of a search by its jobs, and `ratio` that to the last search without a server. `hours` is the time on
# the log's clock until the search's front has .97 of the area (error, time) that the log's has, `busy` the share of the
# workers' time in which that clock ran, and `search` the share of a core that the searching process took; `p50` and `p99` are
# from a job's arrival at the server to that of its answer, the log's seconds included. Random search where speed is 0, else
# the strategy of the experiment. The table's columns are those of experiments/fidelity.toml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

(($#)) || { sed -n '2,15s/^# \{0,1\}//p' "$0" >&2; exit 2; }
log=$(realpath "$1")
shift
(($#)) || set -- 0:0:1000 1:0:1000 1:400:160 8:60:160 32:16:160 64:12:320 128:10:640 256:8:1280
environment=.venv-cluster
if ! [[ -x $environment/bin/python ]] || ! "$environment/bin/python" -c 'import nats' 2>/dev/null; then
    echo "cluster_scale.sh: making $environment" >&2
    python3 -m venv --clear "$environment"
    "$environment/bin/python" -m pip install --quiet nats-py==2.16.0 >&2
fi
cargo build --release --quiet -p controller
exec "$environment/bin/python" scripts/cluster_scale.py --controller "${CARGO_TARGET_DIR:-target}/release/controller" \
    --nats "${NATS_SERVER:-$(scripts/nats.sh)}" --log "$log" --experiment experiments/fidelity.toml \
    --set fidelity.short_epochs=0 --set search.epochs=1000000 "$@"
