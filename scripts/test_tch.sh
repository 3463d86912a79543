#!/usr/bin/env bash
# Tests the backend `tch`, which CI does not: LibTorch takes 7 GB.
#
#   scripts/test_tch.sh           all tests of training
#   scripts/test_tch.sh FILTER    those whose names contain FILTER
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

libtorch=$(scripts/libtorch.sh)
eval "$libtorch"
if (($#)); then
    exec cargo test -p child --features tch --lib "$@"
fi
exec cargo test -p child --features tch --lib -- engine:: train:: backend::
