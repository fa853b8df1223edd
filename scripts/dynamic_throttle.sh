#!/bin/sh
# One look at the machine and what it calls for: JSON on standard output, a summary for people on
# standard error. The exit status is 0 whatever the level, so `if JSON=$(…)` works.
# All is as with `admission throttle`, whose options it takes (--level, --workspace FOLDER, --help).
set -eu

# Percent from which on the level is 1 (medium), 2 (high), 3 (critical). Write a number to change
# one for this script, or set it in the environment. Empty: as configured. A daemon that runs goes
# by its own environment and configuration.
MEMORY_MEDIUM_PCT=${MEMORY_MEDIUM_PCT-}
MEMORY_HIGH_PCT=${MEMORY_HIGH_PCT-}
MEMORY_CRITICAL_PCT=${MEMORY_CRITICAL_PCT-}
CPU_MEDIUM_PCT=${CPU_MEDIUM_PCT-}
CPU_HIGH_PCT=${CPU_HIGH_PCT-}
CPU_CRITICAL_PCT=${CPU_CRITICAL_PCT-}
export MEMORY_MEDIUM_PCT MEMORY_HIGH_PCT MEMORY_CRITICAL_PCT
export CPU_MEDIUM_PCT CPU_HIGH_PCT CPU_CRITICAL_PCT

checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
if command -v admission >/dev/null 2>&1; then
  exec admission throttle "$@"
elif [ -x "$checkout/.venv/bin/admission" ]; then
  exec "$checkout/.venv/bin/admission" throttle "$@"
fi
echo "dynamic_throttle.sh: there is no admission on PATH, nor in $checkout/.venv;" \
  "install it with: pip install $checkout" >&2
exit 127
