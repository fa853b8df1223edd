"""Takes the pictures that stand in the docs."""

from pathlib import Path
from typing import Any

IMAGES = Path(__file__).parents[2] / "docs" / "images"
COLOURS = 256
# Name, colours, width, height; no height: all of the page.
SHOTS = (
    ("dashboard-light", "light", 1280, 1120),
    ("dashboard-dark", "dark", 1280, None),
    ("dashboard-phone", "light", 360, 1560),
)
SETTLE_MS = 1_500


def pictures(url: str) -> None:
    """Writes them into docs/images."""
    from playwright.sync_api import sync_playwright

    from tests.browser.shown import OPTIONS, browser_path

    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=OPTIONS)
        for name, scheme, width, height in SHOTS:
            looks: Any = {"color_scheme": scheme}
            looks["viewport"] = {"width": width, "height": height or 900}
            page = browser.new_page(**looks)
            page.goto(url)
            page.locator("#connection", has_text="live").wait_for()
            page.wait_for_timeout(SETTLE_MS)
            path = IMAGES / f"{name}.png"
            page.screenshot(path=path, full_page=height is None)
            _shrink(path)
            page.close()
        browser.close()


def _shrink(path: Path) -> None:
    """A page of few colours needs no more than a palette. Left as it is where Pillow is missing."""
    try:
        from PIL import Image
    except ModuleNotFoundError:
        return

    opened: Any = Image.open(path)
    opened.convert("RGB").quantize(COLOURS, kmeans=1, dither=0).save(path, optimize=True)
