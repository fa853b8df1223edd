"""What the page shows, and what can be done from it."""

from typing import Any

from tests.browser.shown import Shown

EVIL = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>"
REFUSED = "ERR_CONNECTION_REFUSED"


def row(page: Any, table: str, text: str) -> Any:
    return page.locator(f"#{table}-table tbody tr", has_text=text)


def test_a_level_and_a_lease_are_shown_as_they_come(screen: Shown) -> None:
    words = ("--task", "refactor the cart", "--class", "critical")
    with screen.page() as page, screen.held(*words) as holder:
        held = row(page, "leases", "refactor the cart")
        held.wait_for()
        assert str(holder.pid) in held.inner_text()
        screen.stage.set_level(2)
        page.locator("#level-name", has_text="medium").wait_for()
        assert page.locator("#level-numeral").inner_text() == "2"
        assert "set by hand" in page.locator("#level-reasons").inner_text()
        page.get_by_title("medium").and_(page.locator("[aria-pressed=true]")).wait_for()
        holder.kill()
        held.wait_for(state="detached")
        screen.ask("level", auto=True)


def test_who_waits_is_shown_with_why(screen: Shown) -> None:
    screen.ask("pause", pool="agents")
    with screen.page() as page, screen.held("--task", "review the cart"):
        waits = row(page, "queue", "review the cart")
        waits.wait_for()
        assert "paused" in waits.inner_text()
        page.get_by_role("button", name="Unpause agents").wait_for()
        screen.ask("unpause", pool="agents")
        waits.wait_for(state="detached")
        row(page, "leases", "review the cart").wait_for()


def test_markup_in_a_label_is_text(screen: Shown) -> None:
    with screen.page() as page, screen.held("--task", EVIL, "--group", EVIL):
        held = row(page, "leases", "<b>bold</b>")
        held.wait_for()
        assert held.locator("th .wide").inner_text() == EVIL
        assert page.locator("table img, table b").count() == 0
        held.get_by_role("button").click()
        assert EVIL in page.locator("#dialog-text").inner_text()
        assert page.locator("dialog img").count() == 0
        assert "owned" not in page.title()
        page.get_by_role("button", name="Leave it").click()


def test_releasing_by_the_keyboard(screen: Shown) -> None:
    with screen.page() as page, screen.held("--task", "to be released"):
        held = row(page, "leases", "to be released")
        held.get_by_role("button").focus()
        page.keyboard.press("Enter")
        lease = held.locator("td").first.inner_text()
        assert page.locator("#dialog-command").inner_text() == f"admission release {lease}"
        page.get_by_role("button", name="Leave it").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.locator("#toast", has_text=f"Lease {lease} is released").wait_for()
        held.wait_for(state="detached")
        assert int(lease) not in [one["lease"] for one in screen.stage.look().leases]


def test_a_level_that_is_set_from_the_page(screen: Shown) -> None:
    with screen.page() as page:
        page.get_by_title("heavy").click()
        page.get_by_label("For").select_option("30m")
        assert page.locator("#dialog-command").inner_text() == "admission level 3 --for 30m"
        page.get_by_role("button", name="Set it").click()
        page.locator("#level-name", has_text="heavy").wait_for()
        assert screen.ask("status")["level"] == 3
        page.get_by_role("button", name="Auto").click()
        page.get_by_role("button", name="Give it back").click()
        page.locator("#level-name", has_text="normal").wait_for()


def test_a_reservation_that_is_refused_says_why(screen: Shown) -> None:
    with screen.page(may_fail=("409",)) as page:
        page.get_by_role("button", name="Reserve …").click()
        page.get_by_role("button", name="Reserve them").click()
        page.locator("#dialog-problem", has_text="can't be reserved").wait_for()
        page.get_by_label("Even if nothing stays").check()
        assert page.locator("#dialog-command").inner_text().endswith("--class critical --whole")
        page.get_by_role("button", name="Reserve them").click()
        page.get_by_role("button", name="End it: reservation").click()
        page.get_by_role("button", name="End it", exact=True).click()
        page.get_by_text("Nothing is reserved.").wait_for()


def test_without_the_token_nothing_can_be_done(screen: Shown) -> None:
    """Another tab has the cookie, and so may look, but not the token."""
    with screen.page(may_fail=("403",)) as page, screen.held("--task", "not yours"):
        other = page.context.new_page()
        other.goto(screen.dashboard.bare_url)
        held = row(other, "leases", "not yours")
        held.wait_for()
        assert held.get_by_role("button").count() == 0
        assert not other.locator("#level-acts").is_visible()
        assert other.locator("#read-only").is_visible()
        lease = int(held.locator("td").first.inner_text())
        asked = {"method": "POST", "body": f'{{"op": "release", "lease": {lease}}}'}
        asked["headers"] = {"content-type": "application/json"}  # type: ignore[assignment]
        status = other.evaluate("(asked) => fetch('/act', asked).then((got) => got.status)", asked)
        assert status == 403
        assert lease in [one["lease"] for one in screen.stage.look().leases]
        other.close()


def test_it_recovers_when_the_dashboard_is_started_again(screen: Shown) -> None:
    with screen.page(may_fail=(REFUSED, "ERR_INCOMPLETE", "ERR_EMPTY", "ERR_CONNECTION")) as page:
        screen.dashboard.end()
        page.locator("#connection", has_text="away since").wait_for()
        assert "Nobody serves this page" in page.locator("#notice").inner_text()
        screen.dashboard.start()
        page.locator("#connection", has_text="live").wait_for()
        with screen.held("--task", "after the break"):
            row(page, "leases", "after the break").wait_for()


def test_it_says_that_the_daemon_is_away_and_recovers(screen: Shown) -> None:
    with screen.page(may_fail=("503",)) as page, screen.held("--task", "held over a restart"):
        row(page, "leases", "held over a restart").wait_for()
        screen.stage.kill_daemon()
        page.locator("#connection", has_text="daemon away since").wait_for()
        assert row(page, "leases", "held over a restart").is_visible()
        screen.stage.serve()
        page.locator("#connection", has_text="live").wait_for()
        row(page, "leases", "held over a restart").wait_for()


def test_the_same_in_numbers(screen: Shown) -> None:
    with screen.page() as page:
        page.get_by_text("The same in numbers").click()
        page.locator("#numbers-table tbody tr", has_text="%").first.wait_for()
        said = page.locator("#chart-memory .plot").get_attribute("aria-label")
        assert said is not None
        assert said.startswith("Memory ")
        assert "% now" in said


def test_rows_are_found_and_ordered(screen: Shown) -> None:
    with (
        screen.page() as page,
        screen.held("--task", "beta of the cart"),
        screen.held("--task", "alpha of the cart"),
        screen.held("--task", "something else"),
    ):
        names = page.locator("#leases-table tbody th .wide")
        for name in ("beta", "alpha", "something"):
            row(page, "leases", name).wait_for()
        page.get_by_label("Filter leases and queue").fill("Cart")
        row(page, "leases", "something").wait_for(state="detached")
        order = page.locator("#leases-table thead").get_by_role("button", name="Task")
        order.click()
        assert names.all_inner_texts() == ["beta of the cart", "alpha of the cart"]
        order.click()
        assert names.all_inner_texts() == ["alpha of the cart", "beta of the cart"]
        order.click()
        page.get_by_label("Filter leases and queue").fill("")
        row(page, "leases", "something").wait_for()


ADVISE = """
(recommendations) => import("/static/advice.js").then((it) => it.showAdvice({ recommendations }))
"""


def test_a_recommendation_has_a_command_to_copy(screen: Shown) -> None:
    told = {
        "rule": "orphans",
        "what": EVIL,
        "why": "they hold 1.2 GB",
        "command": "admission orphans",
    }
    with screen.page() as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        # The daemon has nothing to recommend so soon.
        page.evaluate(ADVISE, [told])
        assert page.locator("#advice .what").inner_text() == EVIL
        page.get_by_role("button", name="Copy: admission orphans").click()
        page.locator("#toast", has_text="Copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == "admission orphans"
        page.evaluate(ADVISE, [])
        page.get_by_text("Nothing to recommend.").wait_for()


FLEET = {
    "node": "here",
    "state": "joined",
    "problem": None,
    "nodes": [
        {"node": "build2", "self": False, "state": "open", "level": 1, "out": 2, "capacity": 3}
        | {"waiting": 4, "cost": 1.5, "labels": ["gpu"], "seen_s": 3.0},
    ],
    "pools": [
        {"pool": "api", "capacity": 20, "held": 7, "waiting": 0, "own_held": 3}
        | {"own_waiting": 0, "lost": []},
    ],
}


def test_a_fleet_is_shown_where_there_is_one(screen: Shown) -> None:
    """As a daemon in a fleet answers; this one is in none."""
    with screen.page() as page:
        assert not page.locator("#fleet").is_visible()
        page.route("**/fleet", lambda asked: asked.fulfill(json=FLEET))
        page.reload()
        assert "2 of 3" in row(page, "fleet", "build2").inner_text()
        assert "7 of 20" in row(page, "fleet-pools", "api").inner_text()
        page.unroute("**/fleet")


WIDER_THAN_ITS_PLACE = """
[...document.querySelectorAll(".scroll, html")]
  .filter((one) => one.scrollWidth > one.clientWidth)
  .map((one) => one.id || one.ariaLabel || one.tagName)
"""


def test_everybody_can_read_it(screen: Shown) -> None:
    """By the rules of axe, in light and in the dark; on a phone nothing scrolls sideways."""
    from axe_playwright_python.sync_playwright import Axe

    task = "one-of-some-length-without-a-space-in-it/" * 4
    # What axe puts into the page is no part of it, and the policy would keep it out.
    with screen.page(bypass_csp=True) as page, screen.held("--task", task):
        row(page, "leases", task).wait_for()
        for summary in page.locator("summary").all():
            summary.click()
        for scheme, width in (("light", 1440), ("dark", 360)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900})
            found = Axe().run(page).response["violations"]
            assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
            assert page.evaluate(WIDER_THAN_ITS_PLACE) == []


def test_the_keyboard_gets_in(screen: Shown) -> None:
    with screen.page(reduced_motion="reduce") as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "To the leases"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "leases"
        ten = page.get_by_role("button", name="10 min")
        ten.focus()
        page.keyboard.press("Space")
        ten.and_(page.locator("[aria-pressed=true]")).wait_for()
