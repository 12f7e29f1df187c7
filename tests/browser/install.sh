#!/usr/bin/env bash
# Installs what the tests in this folder need: axe-core from npm, next to this file; Chromium and npm come from Debian.
set -euo pipefail
cd "$(dirname "$0")"
for command in chromium npm; do
    command -v "$command" >/dev/null || { echo "missing: $command; install it with: sudo apt install chromium npm" >&2; exit 1; }
done
npm install --no-package-lock --ignore-scripts --no-audit --no-fund --silent
