#!/usr/bin/env bash
# Thirty kills at random moments instead of the six of every day.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PYTHONDONTWRITEBYTECODE=1 TOMBOLA_KILLS=30 python3 "$root/tests/examples/test_resume.py"
