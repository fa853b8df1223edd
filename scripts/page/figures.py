"""Measures the page with 200 leases, a queue, and a month of history behind it."""

import os
import time
from pathlib import Path
from statistics import median
from typing import Any

from admission_client import Client
from admission_client.granted import whole
from tests.browser.shown import OPTIONS, Dashboard, browser_path
from tests.system.stage import CALM, Stage

LEASES = 200
WAITERS = 40
CHANGES = 20
LIMIT_MS = 60_000
MONTH_S = 2_678_400
CROWDED = f"""
[throttle.budget]
enabled = false
[[throttle.levels]]
level = 0
max_agents = {LEASES}
"""
OBSERVE = f"""
localStorage.setItem("admission-range", "{MONTH_S}");
window.measures = {{}};
new PerformanceObserver((list) => {{
  for (const one of list.getEntries()) (window.measures[one.name] ??= []).push(one.duration);
}}).observe({{ entryTypes: ["measure"] }});
"""


def figures(folder: Path) -> str:
    """A table, from a daemon whose history lies in `folder`."""
    from playwright.sync_api import sync_playwright

    with Stage(folder) as stage:
        stage.config.write_text(CALM.replace("[[throttle.levels]]\nlevel = 0", CROWDED.strip(), 1))
        stage.serve()
        with stage.client() as crowd:
            leases = [_acquire(crowd, number) for number in range(LEASES)]
            dashboard = Dashboard(stage)
            dashboard.start()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=browser_path(), args=OPTIONS)
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                page.set_default_timeout(LIMIT_MS)
                page.add_init_script(OBSERVE)
                page.goto(dashboard.url)
                _row(page, LEASES - 1).wait_for()
                clock = page.context.new_cdp_session(page)
                clock.send("Performance.enable", {"timeDomain": "threadTicks"})
                late_ms = {"a change of the level": _levels(page, stage)}
                late_ms["a lease"] = _change(page, crowd, leases)
                said = _table(page, late_ms) + _taken(page, clock)
                browser.close()
            dashboard.end()
    return said


def _acquire(crowd: Client, number: int) -> int:
    asked = {"task": f"task {number}", "nested": "new", "pid": os.getpid(), "wait_s": 0}
    return whole(crowd.ask("acquire", asked), "lease")


def _row(page: Any, number: int) -> Any:
    return page.locator("#leases-table tbody th", has_text=f"task {number}").first


def _change(page: Any, crowd: Client, leases: list[int]) -> list[float]:
    """One ends and one comes, again and again; how long until the page shows the one that came."""
    late_ms = []
    for number in range(LEASES, LEASES + CHANGES):
        crowd.ask("release", {"lease": leases.pop(0), "force": True})
        begun = time.perf_counter()
        leases.append(_acquire(crowd, number))
        _row(page, number).wait_for(state="attached")
        late_ms.append(1000 * (time.perf_counter() - begun))
        page.wait_for_timeout(200)
    return late_ms


def _taken(page: Any, clock: Any) -> str:
    """By the page's own CPU clock, as others may keep the machine busy."""
    taken = {one["name"]: one["value"] for one in clock.send("Performance.getMetrics")["metrics"]}
    updates = sum(len(each) for each in page.evaluate("window.measures").values())
    script_ms = 1000 * taken["ScriptDuration"] / updates
    style_ms = 1000 * (taken["LayoutDuration"] + taken["RecalcStyleDuration"]) / updates
    return f"\n\nof CPU for each: {script_ms:.1f} ms in scripts, {style_ms:.1f} ms in layout"


def _levels(page: Any, stage: Stage) -> list[float]:
    """How long until the page shows a level that is set."""
    late_ms = []
    for number in range(CHANGES):
        begun = time.perf_counter()
        stage.set_level(number % 2 + 1)
        page.locator(f"#level-numeral[data-level='{number % 2 + 1}']").wait_for()
        late_ms.append(1000 * (time.perf_counter() - begun))
        page.wait_for_timeout(200)
    with stage.client() as client:
        client.ask("level", {"auto": True})
    return late_ms


def _table(page: Any, late_ms: dict[str, list[float]]) -> str:
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    lines = [f"first paint {paint:.0f} ms"]
    for what, each in late_ms.items():
        lines.append(f"{what} is shown after {median(each):.0f} ms, {max(each):.0f} at most")
    lines += ["", "| news | times | ms, median | at most | the first |", "|---|---|---|---|---|"]
    for name, taken in sorted(page.evaluate("window.measures").items()):
        most = max(taken[1:], default=0.0)
        figures = f"{len(taken)} | {median(taken):.1f} | {most:.1f} | {taken[0]:.1f}"
        lines.append(f"| {name.removeprefix('update:')} | {figures} |")
    return "\n".join(lines)
