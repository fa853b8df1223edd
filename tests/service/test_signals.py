"""Signals that come before anybody listens to them wait; none is lost, and none comes too late.

In a process of its own: a thread of whoever runs the tests would take what the main one holds back.
"""

import subprocess
import sys

PATIENCE_S = 20
CODE = """
import os, signal
from admission.service import signals
came = []
for number in signals.SIGNALS:
    signal.signal(number, lambda number, _: came.append(signal.Signals(number).name))
def send(name):
    os.kill(os.getpid(), getattr(signal, name))
    return came
"""


def said(code: str) -> str:
    words = [sys.executable, "-c", CODE + code]
    done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=PATIENCE_S)
    return done.stdout


def test_one_that_is_held_comes_when_it_is_let_through() -> None:
    code = """
with signals.held():
    print(*send("SIGTERM"))
    with signals.let_through():
        print(*came)
    print(*send("SIGHUP"))
print(*came)
"""
    assert said(code) == "\nSIGTERM\nSIGTERM\nSIGTERM SIGHUP\n"


def test_what_has_been_done_need_not_be_asked_for_again() -> None:
    code = """
with signals.held():
    send("SIGTERM")
    signals.forget()
print(*came)
print(*send("SIGTERM"))
"""
    assert said(code) == "\nSIGTERM\n", "the handler is as it was"
