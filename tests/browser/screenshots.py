"""Pictures of HTML reports, on a wide screen and on a phone, light and dark.

Run with ``nox -s screenshots -- NAME=REPORT.html``; they are ``docs/images/NAME-WIDTH-SCHEME.png``.
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"

#: The sizes of the screens, in pixels.
SCREENS = ((1400, 1000), (390, 844))


def picture(browser: Browser, name: str, report: Path) -> None:
    """Write the pictures of the first screen of a report."""
    for (width, height), scheme in itertools.product(SCREENS, ("light", "dark")):
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        page.goto(report.resolve().as_uri())
        page.screenshot(path=IMAGES / f"{name}-{width}-{scheme}.png")
        page.close()


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as started:
        program = os.environ["BROWSER_OF_TESTS"]
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for argument in sys.argv[1:]:
            name, _, report = argument.partition("=")
            picture(browser, name, Path(report))
        browser.close()


if __name__ == "__main__":
    main()
