"""What a browser does with the dashboard, and what one must not be able to do, over real HTTP."""

import json
import subprocess
from collections.abc import Generator
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse

from admission.protocol import Frame

LIMIT_S = 60.0


class Answer:
    """One answer, read to its end."""

    def __init__(self, found: HTTPResponse) -> None:
        self.status = found.status
        self.headers = {name.lower(): value for name, value in found.getheaders()}
        self.body = found.read()

    @property
    def json(self) -> Frame:
        read: Frame = json.loads(self.body)
        return read


class Dashboard:
    """A dashboard that runs, by the line that it printed."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        self.process = process
        self.url = process.stdout.readline().decode().strip()
        where, _, self.token = self.url.partition("/?token=")
        self.origin = where
        self.host = where.removeprefix("http://")
        self.port = int(self.host.rpartition(":")[2])
        # What a program sends, and what the page does.
        self.bearer = {"Authorization": f"Bearer {self.token}"}
        kind = {"Content-Type": "application/json"}
        self.acting = {**self.bearer, **kind, "Origin": self.origin}

    def ask(
        self, path: str, headers: dict[str, str], method: str = "GET", body: str | None = None
    ) -> Answer:
        """Exactly these headers, but for `Host` where none is given."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)) as connection:
            connection.request(method, path, body, headers)
            return Answer(connection.getresponse())

    def act(self, headers: dict[str, str] | None = None, **asked: object) -> Answer:
        """As the page does, unless other headers are given."""
        given = self.acting if headers is None else headers
        return self.ask("/act", given, "POST", json.dumps(asked))

    def cookie(self) -> str:
        """What a browser gets from the printed address."""
        answer = self.ask(f"/?token={self.token}", {})
        assert answer.status == 303
        return answer.headers["set-cookie"].partition(";")[0]

    def events(self, last_id: str = "") -> Generator[tuple[str, str, Frame], None, None]:
        """The id, name and data of each, as they come."""
        headers = self.bearer | ({"Last-Event-ID": last_id} if last_id else {})
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)) as connection:
            connection.request("GET", "/events", headers=headers)
            answer = connection.getresponse()
            assert answer.status == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            fields: dict[str, str] = {}
            while line := answer.readline().decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if line != "\n":
                    fields[name] = value
                    continue
                if "event" in fields:
                    yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
                fields = {}
