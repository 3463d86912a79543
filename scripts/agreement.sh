#!/usr/bin/env bash
# Do three ways of timing a network on this machine's processor agree? Networks drawn from NAS-Bench-201 are timed by our
# `host` device, by `openvino` (OpenVINO's own benchmark_app) and by onnxruntime, each in FP32, with one thread, and in turn.
#
#   scripts/agreement.sh                          ten networks, three rounds: a few minutes
#   NETWORKS=3 ROUNDS=1 scripts/agreement.sh      fewer
#   SECONDS_EACH=5 scripts/agreement.sh           longer measurements (2 s by default)
#   CSV=agreement.csv scripts/agreement.sh        keeps every single figure
#
# Give it a machine with nothing else to do. onnxruntime comes from `.venv`, which scripts/test.sh makes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ! -x .venv/bin/python ]]; then
    echo "agreement.sh: there is no .venv with onnxruntime: scripts/test.sh makes it" >&2
    exit 1
fi
tool=$(scripts/openvino.sh)
echo "building" >&2
cargo build --release --quiet -p controller

exec .venv/bin/python scripts/agreement.py --controller target/release/controller --benchmark-app "$tool" \
    --networks "${NETWORKS:-10}" --rounds "${ROUNDS:-3}" --seconds "${SECONDS_EACH:-2}" ${CSV:+--csv "$CSV"}
