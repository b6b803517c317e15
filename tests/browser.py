"""A headless Chromium without network, for pages that people open. Where there is none the tests fail, and say why."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")
WIDTHS = {390: 844, 1280: 800}


@contextmanager
def opened(page: Path, width: int, scheme: str = "light"):
    """Open a page; at the end its console must have been silent, and nothing may stick out to the right."""
    from playwright.sync_api import sync_playwright

    if not CHROMIUM.exists():
        pytest.fail("this test opens a page in Chromium, which is not there: apt-get install chromium fonts-noto-cjk")
    said = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        context = browser.new_context(
            viewport={"width": width, "height": WIDTHS[width]},
            color_scheme=scheme,
            offline=True,
            reduced_motion="reduce",
        )
        tab = context.new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(page.as_uri())
        yield tab
        assert said == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        browser.close()
