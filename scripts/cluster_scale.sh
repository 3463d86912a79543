#!/usr/bin/env bash
# Measures a cluster on this machine: a real server, and 1 to many worker processes that answer from a log after its own
# seconds, on a clock that runs many times as fast.
#
#   scripts/cluster_scale.sh TABLE.csv                   1 to 256 workers, 160 trainings of 200 epochs each
#   scripts/cluster_scale.sh TABLE.csv 1:0 32:20         WORKERS:SPEED; speed 0 answers at once: the overhead of a job
#
# `busy` is the share of the workers' time in which the log's clock ran; `p50` and `p99` are from a job's arrival at the
# server to that of its answer, the log's seconds included. The table's columns are those of experiments/fidelity.toml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

(($#)) || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
log=$(realpath "$1")
shift
(($#)) || set -- 1:0 1:400 8:60 32:12 128:4 256:2
environment=.venv-cluster
if ! [[ -x $environment/bin/python ]] || ! "$environment/bin/python" -c 'import nats' 2>/dev/null; then
    echo "cluster_scale.sh: making $environment" >&2
    python3 -m venv --clear "$environment"
    "$environment/bin/python" -m pip install --quiet nats-py==2.16.0 >&2
fi
cargo build --release --quiet -p controller
exec "$environment/bin/python" scripts/cluster_scale.py --controller "${CARGO_TARGET_DIR:-target}/release/controller" \
    --nats "${NATS_SERVER:-$(scripts/nats.sh)}" --log "$log" --experiment experiments/fidelity.toml \
    --set fidelity.short_epochs=0 --set search.epochs=32000 "$@"
