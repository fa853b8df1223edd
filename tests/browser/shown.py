"""A real dashboard of a real daemon, and the page that a real browser makes of it."""

import select
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from admission.protocol import Frame
from tests.system.stage import Stage

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LIMIT_S = 60
# Chromium's own sandbox can't be had by root.
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
WATCH_POLICY = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (seen) => {
  window.violations.push(`${seen.violatedDirective}: ${seen.blockedURI} ${seen.sample}`);
});
"""


def browser_path() -> str | None:
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


class Dashboard:
    """The process that serves the page. Started again, it has the same address and token."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._token_file = stage.folder / "token"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> None:
        port = str(urlsplit(self.url).port or 0)
        words = ("--port", port, "--no-open", "--token-file", str(self._token_file))
        self._process = process = self._stage.spawn("dashboard", *words)
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], LIMIT_S)
        self.url = process.stdout.readline().decode().strip() if ready else ""
        assert self.url.startswith("http://127.0.0.1:"), process.stderr

    def end(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(LIMIT_S)

    @property
    def bare_url(self) -> str:
        """The address without its token."""
        return self.url.partition("?")[0]


class Shown:
    """One browser, one daemon, one dashboard."""

    def __init__(self, browser: Any, stage: Stage, dashboard: Dashboard) -> None:
        self.browser = browser
        self.stage = stage
        self.dashboard = dashboard
        self._kept: Any = None
        self._said: list[str] = []

    @contextmanager
    def page(self, *, may_fail: tuple[str, ...] = (), **options: Any) -> Iterator[Any]:
        """The page, live: the same for all who want no options, as opening one takes a while. What
        the browser complains of fails the test, but for what `may_fail` names.
        """
        if options or self._kept is None:
            page = self._open(options)
            if not options:
                self._kept = page
        else:
            page = self._kept
        try:
            yield page
            violations = page.evaluate("window.violations")
            assert not violations, violations
        finally:
            if options:
                page.context.close()
            said, self._said[:] = self._said[:], []
        complaints = [one for one in said if not any(word in one for word in may_fail)]
        assert not complaints, complaints

    def _open(self, options: Any) -> Any:
        context = self.browser.new_context(**options)
        context.set_default_timeout(LIMIT_S * 1000)
        context.add_init_script(WATCH_POLICY)
        page = context.new_page()
        said = self._said
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda problem: said.append(f"uncaught: {problem}"))
        page.goto(self.dashboard.url)
        page.locator("#connection", has_text="live").wait_for()
        return page

    @contextmanager
    def held(self, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
        """A holder for as long as the body lasts, or a waiter."""
        holder = self.stage.hold(*options)
        try:
            yield holder
        finally:
            holder.kill()
            holder.wait(LIMIT_S)

    def ask(self, op: str, **fields: object) -> Frame:
        with self.stage.client() as client:
            return client.ask(op, dict(fields))


@contextmanager
def shown(folder: Path) -> Iterator[Shown]:
    from playwright.sync_api import sync_playwright  # late: not everybody has it

    with Stage(folder) as stage:
        stage.serve()
        dashboard = Dashboard(stage)
        dashboard.start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=browser_path(), args=OPTIONS)
            try:
                yield Shown(browser, stage, dashboard)
            finally:
                browser.close()
        dashboard.end()
