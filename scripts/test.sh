#!/usr/bin/env bash
# Passes the tests: installs what they need, then runs `cargo test --workspace` with whatever arguments follow.
#
#   scripts/test.sh                 everything
#   scripts/test.sh --test onnx     what cargo test takes
#
# An OpenSSH server is installed where it is missing and that is possible, and so is libusb, which OpenVINO's plugin for
# a Neural Compute Stick loads. A Python environment with the real ONNX checker, onnxruntime, OpenVINO and TensorBoard is
# kept in `.venv` and made anew only when `scripts/requirements.txt` changes; the newest OpenVINO has an environment of
# its own, by `scripts/openvino.sh`. What cannot be had is skipped, with a line that says why; with `CI=true` nothing is
# skipped: the script fails instead.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

requirements=scripts/requirements.txt
environment=.venv

say() { echo "test.sh: $*" >&2; }

skip() {
    say "skipping $*"
    if [[ ${CI:-} == true ]]; then
        say "CI=true, so nothing may be skipped"
        exit 1
    fi
}

# Installs Debian packages where that is possible.
install_packages() {
    [[ $EUID == 0 ]] && command -v apt-get >/dev/null || return 1
    say "installing $*"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >&2
}

# Whether a Python is new enough, and can make environments with pip inside.
suits() { "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; }

python_environment() {
    if ! suits python3 && ! { install_packages python3 python3-venv && suits python3; }; then
        skip "the tests against other programs: no Python 3.9 or newer with venv (install python3 and python3-venv)"
        return
    fi
    local wanted
    wanted=$(python3 -c 'import hashlib, sys
print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest(), sys.version.split()[0])' "$requirements")
    if [[ $(cat "$environment/made-from" 2>/dev/null) != "$wanted" ]]; then
        say "making $environment for Python ${wanted#* } (some 500 MB)"
        # A folder half made has no `made-from`, and so is not taken for a whole one the next time.
        if ! { python3 -m venv --clear "$environment" \
            && "$environment/bin/python" -m pip install --quiet --requirement "$requirements" >&2; }; then
            skip "the tests against other programs: the packages of $requirements cannot be installed"
            return
        fi
        echo "$wanted" >"$environment/made-from"
    fi
    export TEST_PYTHON=$PWD/$environment/bin/python
}

# A real OpenSSH server, to which tests log in as to a board.
ssh_server() {
    if ! [[ -x /usr/sbin/sshd ]] && ! install_packages openssh-server openssh-client; then
        skip "the tests over SSH: there is no /usr/sbin/sshd (install openssh-server)"
    fi
}

# The newest OpenVINO, so that no test waits for it; those that cannot have it say so themselves.
openvino_environment() {
    scripts/openvino.sh >/dev/null || say "the newest OpenVINO cannot be had now: see above"
    local libraries
    libraries=$(PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2>/dev/null) || true
    if [[ $libraries != *libusb-1.0.so.0* ]] && ! install_packages libusb-1.0-0; then
        say "libusb-1.0 is missing: the plugin for a Neural Compute Stick is tested up to that"
    fi
}

if ! command -v cargo >/dev/null; then
    say "there is no cargo: install Rust from https://rustup.rs"
    exit 1
fi
# Some dependencies hold C, and Rust links with the C compiler.
if ! command -v cc >/dev/null && ! install_packages gcc libc6-dev; then
    say "there is no C compiler: install gcc and libc6-dev, or what they are called here"
    exit 1
fi
ssh_server
# Building OpenSSL takes minutes; where the system's can be linked with, the tests do.
if pkg-config --exists 'openssl >= 1.1.1' 2>/dev/null; then
    export OPENSSL_NO_VENDOR=1
elif ! { command -v perl && command -v make; } >/dev/null && ! install_packages perl make; then
    say "OpenSSL is built along: install perl and make, or OpenSSL's development files and pkg-config"
    exit 1
fi
unset TEST_PYTHON
python_environment
openvino_environment
exec cargo test --workspace "$@"
