"""`python -m scripts.page`: takes the pictures of docs/images, or measures the page.

    pictures    the page of a made-up day, in light, in the dark, and on a phone
    figures     a real daemon with 200 leases and a month of history: the first paint, and how
                long the page's scripts take for each piece of news

Needs what the extra `browser` brings, and Chromium.
"""

import sys
import tempfile
import time
from pathlib import Path

from scripts.page.figures import figures
from scripts.page.keep import keep
from scripts.page.pictures import pictures
from scripts.page.stand_in import served
from scripts.page.story import story

DAYS = 31.0
SEED = 12


def main(words: list[str]) -> int:
    if words not in (["pictures"], ["figures"]):
        print(__doc__, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="adm-", dir="/tmp") as made:
        folder = Path(made)
        told = story(time.time(), DAYS, SEED)
        keep(told, folder / "state" / "admission" / "history.db")
        if words == ["figures"]:
            print(figures(folder))
        else:
            with served(told, folder / "state" / "admission" / "history.db") as url:
                pictures(url)
    return 0


sys.exit(main(sys.argv[1:]))
