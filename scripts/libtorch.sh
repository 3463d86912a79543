#!/usr/bin/env bash
# Prepares LibTorch for the backend `tch`, and prints the environment that builds and runs with it:
#
#   eval "$(scripts/libtorch.sh)"
#   cargo run --release -p controller --features tch
#
# The crate `tch` needs one exact version of LibTorch, and downloads it where the network allows that. This script takes
# it from PyTorch's Python package instead, into `.venv-libtorch`: 7 GB on Linux, because the package on PyPI is built for
# NVIDIA GPUs and does not start without NVIDIA's libraries.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

environment=$PWD/.venv-libtorch
python=$environment/bin/python

# The version that torch-sys, below tch, needs: only its build script contains it.
version=2.9.0

if [[ $("$python" -c 'import torch; print(torch.__version__.split("+")[0])' 2>/dev/null) != "$version" ]]; then
    echo "libtorch.sh: installing PyTorch $version into $environment" >&2
    python3 -m venv --clear "$environment"
    # Keeps the environment out of version control.
    echo '*' >"$environment/.gitignore"
    # setuptools: torch-sys takes the folders from torch.utils.cpp_extension, which needs it.
    "$python" -m pip install --quiet "torch==$version" numpy setuptools >&2
fi

library=$("$python" -c 'import pathlib, torch; print(pathlib.Path(torch.__file__).parent / "lib")')
echo "export VIRTUAL_ENV='$environment'"
echo "export PATH='$environment/bin':\"\$PATH\""
echo "export LIBTORCH_USE_PYTORCH=1"
echo "export LD_LIBRARY_PATH='$library'\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
