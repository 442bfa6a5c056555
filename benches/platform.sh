#!/usr/bin/env bash
# Builds what the platform benchmark needs, then runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --locked
venv=target/bench-venv
if [ ! -x "$venv/bin/moto_server" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet -r tests/clients/requirements.txt 'moto[server]==5.2.5'
fi
KENNEL_BIN=target/release/kennel exec "$venv/bin/python" benches/platform.py
