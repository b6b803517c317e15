from dataclasses import fields
from string import Formatter

import pytest

from quadgate.explain.texts import LANGUAGES, Texts, texts


def spoken(value):
    """Every text in a field, by its key."""
    if isinstance(value, str):
        return {"": value}
    pairs = value.items() if hasattr(value, "items") else enumerate(value)
    return dict(pairs)


@pytest.mark.parametrize("field", [field.name for field in fields(Texts)])
def test_every_language_says_the_same_with_the_same_numbers(field):
    english = spoken(getattr(texts("en"), field))
    for language in LANGUAGES:
        other = spoken(getattr(texts(language), field))
        assert other.keys() == english.keys()
        for key, text in other.items():
            assert bool(text) is bool(english[key])
            assert placeholders(text) == placeholders(english[key]), key


def placeholders(text):
    """The fields of a template; `inputs` and `units` say C and H with their noun."""
    with_noun = {"inputs": "C", "units": "H"}
    return {with_noun.get(name, name) for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_the_formulas_are_the_same_in_every_language():
    def formulas(text):
        return [
            line.split("  ")[1] for line in text.splitlines() if line.startswith("  ") and " = " in line and "@" in line
        ]

    assert formulas(texts("zh").page) == formulas(texts("en").page)
    assert formulas(texts("en").page)


def test_what_is_said_in_chinese_is_not_said_in_english():
    for field in fields(Texts):
        english = spoken(getattr(texts("en"), field.name))
        for key, text in spoken(getattr(texts("zh"), field.name)).items():
            assert text != english[key] or "@" in text or text == "", field.name
