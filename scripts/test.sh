#!/usr/bin/env bash
# Installs the programs that the tests need, and runs `cargo test --workspace` with the given arguments.
#
#   scripts/test.sh                 all tests
#   scripts/test.sh --test onnx     arguments of cargo test
#
# The script installs an OpenSSH server, faketime and Chromium where they are missing, if it may, and libusb, which OpenVINO's
# plugin for a Neural Compute Stick loads. `.venv` is a Python environment with the real ONNX checker, onnxruntime, OpenVINO
# and TensorBoard; it is made again only when `scripts/requirements.txt` changes. The newest OpenVINO has its own environment, made by
# `scripts/openvino.sh`; `scripts/nats.sh` finds or installs the server through which searches reach workers. Tests whose
# programs cannot be installed are skipped, with a line that gives the reason; with `CI=true` the script fails instead.
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

# Installs Debian packages, if that is possible.
install_packages() {
    [[ $EUID == 0 ]] && command -v apt-get >/dev/null || return 1
    say "installing $*"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >&2
}

# Succeeds if a Python is new enough and can make environments with pip.
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
        # An incomplete folder has no `made-from`, so the next run makes it again.
        if ! { python3 -m venv --clear "$environment" \
            && "$environment/bin/python" -m pip install --quiet --requirement "$requirements" >&2; }; then
            skip "the tests against other programs: the packages of $requirements cannot be installed"
            return
        fi
        echo "$wanted" >"$environment/made-from"
    fi
    export TEST_PYTHON=$PWD/$environment/bin/python
}

# A real OpenSSH server, which the tests use as a board.
ssh_server() {
    if ! [[ -x /usr/sbin/sshd ]] && ! install_packages openssh-server openssh-client; then
        skip "the tests over SSH: /usr/sbin/sshd is missing (install openssh-server)"
    fi
}

# The newest OpenVINO, so that no test waits for its installation; without it the tests that need it are skipped.
openvino_environment() {
    scripts/openvino.sh >/dev/null || say "the newest OpenVINO cannot be installed now: see above"
    local libraries
    libraries=$(PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2>/dev/null) || true
    if [[ $libraries != *libusb-1.0.so.0* ]] && ! install_packages libusb-1.0-0; then
        say "libusb-1.0 is missing: the plugin for a Neural Compute Stick is tested only until it loads that library"
    fi
}

# The server that passes jobs to workers on other machines.
nats_server() {
    scripts/nats.sh >/dev/null || skip "the tests of workers on other machines: see above"
}

# The browser that opens the pages of runs.
browser() {
    if ! { [[ -x /usr/bin/chromium && -x /usr/bin/chromedriver ]] || install_packages chromium chromium-driver; }; then
        skip "the tests of pages in a browser: install chromium and chromium-driver"
    fi
}

# A library by which a test gives a machine a wrong clock.
wrong_clocks() {
    if ! compgen -G '/usr/lib*/*faketime/libfaketime.so.1' >/dev/null \
        && ! compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null && ! install_packages faketime; then
        skip "the test of clocks that are wrong: libfaketime is missing (install faketime)"
    fi
}

if ! command -v cargo >/dev/null; then
    say "cargo is missing: install Rust from https://rustup.rs"
    exit 1
fi
# Some dependencies contain C, and Rust links with the C compiler.
if ! command -v cc >/dev/null && ! install_packages gcc libc6-dev; then
    say "a C compiler is missing: install gcc and libc6-dev, or the packages of that kind on this system"
    exit 1
fi
ssh_server
# Building OpenSSL takes minutes; the tests link with the library of the system where it is installed.
if pkg-config --exists 'openssl >= 1.1.1' 2>/dev/null; then
    export OPENSSL_NO_VENDOR=1
elif ! { command -v perl && command -v make; } >/dev/null && ! install_packages perl make; then
    say "OpenSSL has to be built: install perl and make, or OpenSSL's development files and pkg-config"
    exit 1
fi
unset TEST_PYTHON
python_environment
openvino_environment
nats_server
browser
wrong_clocks
# Most tests wait for a board, a server or a browser more than they compute.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) + 1))}
exec cargo test --workspace "$@"
