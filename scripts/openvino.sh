#!/usr/bin/env bash
# Makes a Python environment with one OpenVINO, and prints the path of its benchmark_app:
#
#   scripts/openvino.sh             the newest
#   scripts/openvino.sh 2021.4.2    the last with Python packages for a Neural Compute Stick 2 (MYRIAD)
#
# The environment is `.venv-openvino-VERSION`; a complete one is used again. Versions up to 2022.2 need a Python from 3.6
# to 3.9, which the script looks for in PATH and among pyenv's versions. MYRIAD also needs the system's libusb-1.0, and the
# right to use the stick: the script prints a message if the library is missing. The last version for the first Neural
# Compute Stick is 2020.3, which has no Python package: install Intel's archive, and name its benchmark_app.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "openvino.sh: $*" >&2; }
fail() {
    say "$*"
    exit 1
}

# The second number of a Python's version, if it is a Python 3 that can make environments with pip.
minor_of() { "$1" -c 'import ensurepip, sys, venv; print(sys.version_info[1] if sys.version_info[0] == 3 else -1)' 2>/dev/null; }

# The newest Python with a second number from $1 to $2; the one called python3, if it fits.
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

# The Pythons that the packages were built for. For newer versions of OpenVINO, pip decides.
case ${1:-} in
    *[!0-9.]*) fail "a version looks like 2021.4.2, not like $1" ;;
    2021.* | 2022.1* | 2022.2*) lowest=6 highest=9 ;;
    2022.3*) lowest=7 highest=10 ;;
    2023.*) lowest=8 highest=11 ;;
    2024.*) lowest=9 highest=12 ;;
    '' | 202[5-9].* | 20[3-9]?.*) lowest=9 highest=30 ;;
    *) fail "OpenVINO $1 has no Python package: the oldest is of 2021; older versions come as Intel's archive" ;;
esac

version=${1:-}
if ! python=$(find_python "$lowest" "$highest"); then
    fail "OpenVINO ${version:-of today} needs a Python from 3.$lowest to 3.$highest with venv, and none was found: install" \
        "one (such as \`pyenv install 3.$((highest > 20 ? 12 : highest))\`, or your system's python3.x and python3.x-venv)"
fi
if [[ -z $version ]]; then
    version=$("$python" -m pip index versions openvino 2>/dev/null | sed -n '1s/.*(\(.*\)).*/\1/p') || true
    [[ -n $version ]] || fail "the package registry did not give the newest version of OpenVINO: name a version"
fi

environment=$PWD/.venv-openvino-$version
tool=$environment/bin/benchmark_app
# The version in `made-from` was installed completely.
if [[ ! -x $tool || $(cat "$environment/made-from" 2>/dev/null) != "$version" ]]; then
    say "installing OpenVINO $version for $("$python" -V) into $environment"
    "$python" -m venv --clear "$environment"
    # Keeps the environment out of version control.
    echo '*' >"$environment/.gitignore"
    # The pip of an old Python does not know today's packages; the old tools need pkg_resources of setuptools.
    "$environment/bin/python" -m pip install --quiet --upgrade pip 'setuptools<81' >&2
    if ! "$environment/bin/python" -m pip install --quiet "openvino==$version" >&2; then
        rm -rf "$environment"
        fail "OpenVINO $version cannot be installed for $("$python" -V): see above"
    fi
    # From 2022 on, for some time, the tool was in another package.
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
    say "for MYRIAD, libusb-1.0 is missing: install libusb-1.0-0, or the package of that name on this system"
fi
echo "$tool"
