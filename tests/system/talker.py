"""A client that says what it is told to: a line of JSON in, a line of JSON out.

Run as another user (`talker.py UID GID …`), or in a PID namespace of its own. A `request` is
hexadecimal.
"""

import json
import os
import sys

import msgpack  # noqa: F401 -- what the client imports late, it could not once it is another user

from admission.protocol import AdmissionError, Frame
from admission_client import Client


def become(uid: int, *gids: int) -> None:
    """Becomes another user with these groups beside its own, for good.

    After all is imported: the files may be none that this user can read.
    """
    os.setgroups(gids)
    os.setgid(uid)
    os.setuid(uid)


def main() -> None:
    if len(sys.argv) > 1:
        become(*map(int, sys.argv[1:]))
    client = Client()
    for line in sys.stdin:
        op, fields = json.loads(line)
        if "request" in fields:
            fields["request"] = bytes.fromhex(fields["request"])
        try:
            if op == "reconnect":
                client.close()
                client = Client()
            answer: Frame = {"pid": os.getpid()} if op == "reconnect" else client.ask(op, fields)
        except AdmissionError as problem:
            answer = {"code": problem.code, "message": str(problem)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
