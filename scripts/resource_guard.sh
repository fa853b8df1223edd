#!/bin/sh
# Whether the machine is fit to start agents: enough memory, a level below 3, no other autopilot;
# and which processes take most. The exit status is 0, or 75 where it is not fit.
# All is as with `admission guard`, whose options it takes (--min-memory 2G, --json, --help).
set -eu

checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
if command -v admission >/dev/null 2>&1; then
  exec admission guard "$@"
elif [ -x "$checkout/.venv/bin/admission" ]; then
  exec "$checkout/.venv/bin/admission" guard "$@"
fi
echo "resource_guard.sh: there is no admission on PATH, nor in $checkout/.venv;" \
  "install it with: pip install $checkout" >&2
exit 127
