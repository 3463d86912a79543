#!/usr/bin/env bash
# Makes a Python environment with one OpenVINO, and prints the path of its benchmark_app:
#
#   scripts/openvino.sh             the newest
#   scripts/openvino.sh 2021.4.2    the last whose Python packages drive a Neural Compute Stick 2 (MYRIAD)
#
# The environment is `.venv-openvino-VERSION`; one that is there and whole is used again. Versions up to 2022.2 want a
# Python from 3.6 to 3.9, which is looked for in PATH and among pyenv's versions. MYRIAD wants the system's libusb-1.0
# too, and the right to use the stick: the script tells when the library is missing. The first Neural Compute Stick ends
# with 2020.3, which never came as a Python package: install Intel's archive, and name its benchmark_app.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "openvino.sh: $*" >&2; }
fail() {
    say "$*"
    exit 1
}

# The second number of a Python's version, if it is a Python 3 that can make environments with pip inside.
minor_of() { "$1" -c 'import ensurepip, sys, venv; print(sys.version_info[1] if sys.version_info[0] == 3 else -1)' 2>/dev/null; }

# The newest Python whose second number is from $1 to $2; the one called python3, where it suits.
find_python() {
    local candidate minor number
    local candidates=(python3)
    for ((number = $2; number >= $1; number--)); do
        candidates+=("python3.$number")
        for candidate in "${PYENV_ROOT:-$HOME/.pyenv}/versions/3.$number".*/bin/python3 "/opt/python3.$number/bin/python3"; do
            [[ -x $candidate ]] && candidates+=("$candidate")
        done
    done
    for candidate in "${candidates[@]}"; do
        minor=$(minor_of "$candidate") || continue
        if ((minor >= $1 && minor <= $2)); then
            echo "$candidate"
            return
        fi
    done
    return 1
}

# What the packages were built for. Beyond the last that is known here, pip has its say.
case ${1:-} in
    *[!0-9.]*) fail "the version is to look like 2021.4.2, not like $1" ;;
    2021.* | 2022.1* | 2022.2*) lowest=6 highest=9 ;;
    2022.3*) lowest=7 highest=10 ;;
    2023.*) lowest=8 highest=11 ;;
    2024.*) lowest=9 highest=12 ;;
    '' | 202[5-9].* | 20[3-9]?.*) lowest=9 highest=30 ;;
    *) fail "there is no Python package of OpenVINO $1: the oldest are of 2021; older ones come as Intel's archive" ;;
esac

version=${1:-}
if ! python=$(find_python "$lowest" "$highest"); then
    fail "OpenVINO ${version:-of today} needs a Python from 3.$lowest to 3.$highest with venv, and there is none: install" \
        "one (such as \`pyenv install 3.$((highest > 20 ? 12 : highest))\`, or your system's python3.x and python3.x-venv)"
fi
if [[ -z $version ]]; then
    version=$("$python" -m pip index versions openvino 2>/dev/null | sed -n '1s/.*(\(.*\)).*/\1/p') || true
    [[ -n $version ]] || fail "the package registry does not tell which OpenVINO is the newest: name a version"
fi

environment=$PWD/.venv-openvino-$version
tool=$environment/bin/benchmark_app
# What stands in `made-from` was installed to the end.
if [[ ! -x $tool || $(cat "$environment/made-from" 2>/dev/null) != "$version" ]]; then
    say "installing OpenVINO $version for $("$python" -V) into $environment"
    "$python" -m venv --clear "$environment"
    # Not for version control, also where the project's own list of what to ignore does not name it.
    echo '*' >"$environment/.gitignore"
    # What comes with an old Python does not know today's packages; the old tools need pkg_resources of setuptools.
    "$environment/bin/python" -m pip install --quiet --upgrade pip 'setuptools<81' >&2
    if ! "$environment/bin/python" -m pip install --quiet "openvino==$version" >&2; then
        rm -rf "$environment"
        fail "OpenVINO $version cannot be installed for $("$python" -V): see above"
    fi
    # In 2022 and a while later the tool was in another package.
    if [[ ! -x $tool ]]; then
        "$environment/bin/python" -m pip install --quiet "openvino-dev==$version" >&2 \
            || fail "openvino-dev $version, which has benchmark_app, cannot be installed: see above"
    fi
    [[ -x $tool ]] || fail "OpenVINO $version was installed, but has no benchmark_app"
    echo "$version" >"$environment/made-from"
fi

"$tool" -h >/dev/null 2>&1 || fail "$tool does not start: $("$tool" -h 2>&1 | tail -n 1)"
if compgen -G "$environment/lib/python3*/site-packages/openvino/libs/*myriadPlugin*" >/dev/null \
    && ! "$environment/bin/python" -c 'import ctypes; ctypes.CDLL("libusb-1.0.so.0")' 2>/dev/null; then
    say "for MYRIAD, libusb-1.0 is missing: install libusb-1.0-0, or what it is called here"
fi
echo "$tool"
