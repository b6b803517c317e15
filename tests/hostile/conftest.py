"""Every file that is loaded in these tests is held to what a hostile one may cost."""

import pytest

import quadgate
from hostile.limits import limits


@pytest.fixture(autouse=True)
def loading_is_bounded(monkeypatch):
    load = quadgate.load

    def bounded(path, **settings):
        with limits(f"loading {path}"):
            return load(path, **settings)

    monkeypatch.setattr(quadgate, "load", bounded)
