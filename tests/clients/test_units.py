"""The files by which systemd and launchd start the daemon, to the letter."""

import plistlib
from collections.abc import Callable

import pytest

from admission_client import units
from admission_client.units import About, is_as_written, quoted

ABOUT = About(
    ("/opt/my 100%/python", "-P", "-m", "admission_client.cli", "serve", "--config", 'a "b".toml'),
    "%t/admission/admission.sock",
    "/home/me/.admission/admission.log",
    (("XDG_STATE_HOME", "/home/me/50% $x"),),
    100,
)


def test_the_unit_of_the_service() -> None:
    text, _, mark = units.service_unit(ABOUT).rstrip("\n").rpartition("\n")
    assert (
        text
        == """\
[Unit]
Description=Admission control for the agents of this machine
Requires=admission.socket
After=admission.socket

[Service]
Type=notify
ExecStart=:"/opt/my 100%%/python" -P -m admission_client.cli serve --config "a \\"b\\".toml"
ExecReload=kill -HUP $MAINPID
Environment="XDG_STATE_HOME=/home/me/50%% $x"
Restart=on-failure
RestartSec=1
RestartPreventExitStatus=77 78
OOMScoreAdjust=100
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX
SystemCallArchitectures=native

[Install]
Also=admission.socket"""
    )
    assert mark.startswith('# written by "admission service install"; what you change here is kept')


def test_the_unit_of_the_socket() -> None:
    text = units.socket_unit(ABOUT)
    assert text.startswith("""\
[Unit]
Description=Where agents ask for admission

[Socket]
ListenStream=%t/admission/admission.sock
SocketMode=0600
DirectoryMode=0700

[Install]
WantedBy=sockets.target
# written by "admission service install"; """)


def test_the_property_list() -> None:
    text = units.launch_agent(ABOUT)
    assert plistlib.loads(text.encode()) == {
        "Label": "local.admission",
        "ProgramArguments": list(ABOUT.command),
        "EnvironmentVariables": {"XDG_STATE_HOME": "/home/me/50% $x"},
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "Umask": 0o077,
        "StandardErrorPath": "/home/me/.admission/admission.log",
    }
    assert is_as_written(text)


@pytest.mark.parametrize("written", [units.service_unit, units.socket_unit, units.launch_agent])
def test_a_change_is_noticed(written: Callable[[About], str]) -> None:
    text = written(ABOUT)
    assert is_as_written(text)
    assert not is_as_written(text.replace("admission", "admissions", 1))
    assert not is_as_written("# mine\n" + text)
    assert not is_as_written(text + "# mine\n")
    assert not is_as_written("")


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("plain/word-1.2", "plain/word-1.2"),
        ("", '""'),
        ("two words", '"two words"'),
        ("it's", '"it\'s"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("100%", '"100%%"'),
        ("$HOME;|&", "$HOME;|&"),
        ("a\nb\t", '"a\\x0ab\\x09"'),
        ("é", "é"),
    ],
)
def test_words_are_quoted_as_systemd_reads_them(word: str, written: str) -> None:
    assert quoted(word) == written
