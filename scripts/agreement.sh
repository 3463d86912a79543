#!/usr/bin/env bash
# Do three ways of timing a network on this machine's processor agree? Networks drawn from a search space are timed by
# the `host` device, by `openvino` (OpenVINO's benchmark_app) and by onnxruntime, each in FP32, with one thread, in turn.
#
#   scripts/agreement.sh                              30 networks of nasbench201, 20 rounds: about 12 minutes
#   scripts/agreement.sh mobile                       30 networks of mobile
#   NETWORKS=3 ROUNDS=1 scripts/agreement.sh          fewer
#   ENGINES="host onnxruntime" scripts/agreement.sh   without OpenVINO
#   SECONDS_EACH=5 scripts/agreement.sh               longer measurements (0.1 s by default)
#   CSV=agreement.csv scripts/agreement.sh            keeps every single figure
#
# It needs a machine with nothing else to do. onnxruntime comes from `.venv`, which scripts/test.sh makes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ! -x .venv/bin/python ]]; then
    echo "agreement.sh: there is no .venv with onnxruntime: scripts/test.sh makes it" >&2
    exit 1
fi
engines=${ENGINES:-host openvino onnxruntime}
tool=
[[ $engines != *openvino* ]] || tool=$(scripts/openvino.sh)
echo "building" >&2
cargo build --release --quiet -p controller

# shellcheck disable=SC2086 # the engines are separate words
exec .venv/bin/python scripts/agreement.py --controller target/release/controller --benchmark-app "$tool" \
    --space "${1:-nasbench201}" --engines $engines --networks "${NETWORKS:-30}" --rounds "${ROUNDS:-20}" \
    --seconds "${SECONDS_EACH:-0.1}" ${CSV:+--csv "$CSV"}
