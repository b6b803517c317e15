"""A headless Chromium without network, for pages that people open.

Where there is no Chromium or no Playwright these tests fail, and say what to install: a page that nobody opened is not
known to work, and .ci/run installs both.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

CHROMIUM = Path("/usr/bin/chromium")
WIDTHS = {390: 844, 1280: 800}


@contextmanager
def chromium():
    """Start a browser."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        pytest.fail("this test opens a page through Playwright, which is not there: pip install playwright")
    if not CHROMIUM.exists():
        pytest.fail("this test opens a page in Chromium, which is not there: apt-get install chromium fonts-noto-cjk")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(page: Path, width: int, scheme: str = "light"):
    """Open a page; at the end its console must have been silent, and nothing may stick out to the right."""
    said = []
    with chromium() as browser:
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


def looks_as(part, expected: Path, most: float = 6):
    """Compare a part of a page with its picture; fonts and smoothing differ between machines, no more."""
    import io

    from PIL import Image

    shot = part.screenshot()
    if not expected.exists():
        expected.write_bytes(shot)
        pytest.fail(f"{expected} was not there and was written: look at it")
    seen = Image.open(io.BytesIO(shot)).convert("RGB")
    with Image.open(expected) as picture:
        wanted = picture.convert("RGB")
    assert abs(seen.height - wanted.height) <= 0.02 * wanted.height
    assert seen.width == wanted.width
    seen = seen.resize(wanted.size)
    apart = np.abs(np.asarray(seen, float) - np.asarray(wanted, float))
    assert apart.mean() < most
