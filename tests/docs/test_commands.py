"""What the pages say is what the commands print: every console and python block is run, in order, in an empty folder
but for `tests`, which is the repository's.

- ```console: lines that begin with `$ ` are run, the lines below are their output. A line `...` stands for any lines,
  `...` within a line for any text. `make demo` is run as its recipe.
- ```python: run as a doctest where it has `>>>`, else as a script.
- ```sh: set-up lines, shown and not run. Their number is in SHOWN_ONLY.
- ```text and ```json: no commands.
- `<!-- test: slow -->` on the line above a block, and above those that build on it, leaves it to the slow run.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What sets a machine up is shown and not run: a command that begins with one of these words.
SET_UP = re.compile(r"(make|git|cd|pip|python3? -m (venv|pip)|\.venv/bin/\S+)( |$)")

SLOW = "<!-- test: slow -->"

_FENCE = re.compile(r"(?P<above>[^\n]*)\n```(?P<language>\w*)\n(?P<body>.*?)\n?```", re.DOTALL)

PAGES = sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").glob("**/*.md")])

# A page in another language has the slow blocks of the page that it translates, which are run there.
TRANSLATIONS = {page: page.with_name(page.name.replace(".zh.", ".")) for page in PAGES if ".zh." in page.name}

# The commands that no test runs, by page.
SHOWN_ONLY = {"README.md": 6, "README.zh.md": 6}


@dataclass(frozen=True)
class Block:
    language: str
    body: str
    line: int
    slow: bool

    @property
    def commands(self):
        """Each command of a console block with the lines that are said to follow it."""
        found = []
        for line in self.body.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif not found:
                raise AssertionError(f"line {self.line}: a console block begins with '$ ', found {line!r}")
            elif found[-1][0].endswith("\\"):
                command, expected = found[-1]
                found[-1] = (f"{command}\n{line}", expected)
            else:
                found[-1][1].append(line)
        return [(command, "\n".join(expected)) for command, expected in found]


def blocks(text):
    return [
        Block(
            language=match["language"],
            body=match["body"],
            line=text.count("\n", 0, match.start("body")),
            slow=match["above"].strip() == SLOW,
        )
        for match in _FENCE.finditer("\n" + text)
    ]


def is_set_up(command):
    return SET_UP.match(command) is not None


def set_up_lines(page_blocks):
    """The commands of a page that are shown and not run."""
    shown = [line for block in page_blocks if block.language == "sh" for line in block.body.splitlines() if line]
    commands = [command for block in page_blocks if block.language == "console" for command, _ in block.commands]
    return shown + [command for command in commands if is_set_up(command) and _recipe(command) is None]


def check(block, folder):
    """Run a block in a folder; fail where it fails or prints something else than the page says."""
    if block.language == "python":
        _check_python(block, folder)
    if block.language == "console":
        for command, expected in block.commands:
            recipe = _recipe(command)
            if recipe is not None or not is_set_up(command):
                _check_command(recipe or command, expected, block.line, folder)


def matches(expected, printed):
    """Whether the output is what the page says; a line `...` stands for any lines, `...` within a line for any text."""
    pattern = ""
    for line in expected.splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += re.escape(line.rstrip()).replace(r"\.\.\.", ".*") + r"[ \t]*\n"
    return re.fullmatch(pattern, printed if printed.endswith("\n") or not printed else printed + "\n") is not None


def _recipe(command):
    """Return what `make demo` runs once all is installed; None for any other command."""
    if command != "make demo":
        return None
    recipe = re.search(r"^demo:.*\n\t(.*)\n", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return recipe[1].replace("$(BIN)/", "")


def _check_command(command, expected, line, folder):
    run = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    told = f"line {line}: $ {command}\n"
    assert run.returncode == 0, f"{told}exit code {run.returncode}\n{run.stdout}"
    assert matches(expected, run.stdout), f"{told}printed\n{run.stdout}\nbut the page says\n{expected}"


def _check_python(block, folder):
    script = folder / "block.txt"
    script.write_text(block.body + "\n", encoding="utf-8")
    arguments = ["-m", "doctest", "-o", "ELLIPSIS", script.name] if ">>>" in block.body else [script.name]
    run = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    script.unlink()
    assert run.returncode == 0, f"line {block.line}:\n{run.stdout}"


def _environment():
    """Return what a reader's terminal would have: 80 columns, no colour, this Python's commands first."""
    here = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": os.pathsep.join([here, os.environ.get("PATH", "")]),
        "NO_COLOR": "1",
        "COLUMNS": "80",
        "PYTHONIOENCODING": "utf-8",
    }


@pytest.fixture
def folder(tmp_path):
    """An empty folder, from which the files of the repository's tests can be reached as from its root."""
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    return tmp_path


def page_blocks(page):
    return blocks(page.read_text(encoding="utf-8"))


def name(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", TRANSLATIONS, ids=name)
def test_a_translation_has_the_slow_blocks_of_its_original(page):
    def slow(page):
        return [(block.language, block.body) for block in page_blocks(page) if block.slow]

    assert slow(page) == slow(TRANSLATIONS[page])


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_page_says_what_the_commands_print(page, folder):
    for block in page_blocks(page):
        if not block.slow:
            check(block, folder)


# These pages take three minutes together, and what they show is tested where it is made: they are run by hand.
LONG_PAGES = {*(ROOT / "docs" / page for page in ("classifier.md", "explain.md")), *ROOT.glob("docs/convert/*.md")}


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.long if page in LONG_PAGES else pytest.mark.slow)
        for page in PAGES
        if page not in TRANSLATIONS and any(b.slow for b in page_blocks(page))
    ],
    ids=name,
)
def test_the_page_says_what_the_slow_commands_print(page, folder):
    for block in page_blocks(page):
        check(block, folder)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_command_escapes(page):
    for block in page_blocks(page):
        assert block.language in {"console", "python", "sh", "text", "json"}, f"line {block.line}: {block.language!r}"
        if block.language == "sh":
            for line in block.body.splitlines():
                assert not line or SET_UP.match(line), f"line {block.line}: {line!r} belongs in a console block"


def test_the_lines_that_are_shown_and_not_run_are_counted():
    counted = {name(page): len(set_up_lines(page_blocks(page))) for page in PAGES}
    assert {page: count for page, count in counted.items() if count} == SHOWN_ONLY


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a\nb", "a\nb\n", True),
        ("a\nb", "a\nc\n", False),
        ("a\nb", "a\nb\nc\n", False),
        ("a\n...\nd", "a\nb\nc\nd\n", True),
        ("a\n...", "a\n", True),
        ("took ... s", "took 1.25 s\n", True),
        ("rows 0..11", "rows 0xx11\n", False),
        ("", "", True),
        ("", "a\n", False),
    ],
)
def test_a_page_matches_its_output_exactly_but_for_the_dots(expected, printed, same):
    assert matches(expected, printed) is same


@pytest.mark.parametrize(
    "text",
    [
        "```console\n$ echo kernel\nbias\n```",
        "```console\n$ false\n```",
        "```python\n>>> 4 * 64\n255\n```",
        "```python\nassert 4 * 64 == 255\n```",
    ],
)
def test_a_page_that_is_wrong_fails(text, tmp_path):
    (block,) = blocks(text)
    with pytest.raises(AssertionError, match="line 1"):
        check(block, tmp_path)


def test_blocks_run_one_after_another_in_one_folder(tmp_path):
    text = (
        "```console\n$ echo kernel > f\n$ echo one \\\n    product\none product\n```\n\n"
        "<!-- test: slow -->\n```console\n$ cat f\nkernel\n```"
    )
    first, second = blocks(text)
    assert (first.slow, second.slow) == (False, True)
    check(first, tmp_path)
    check(second, tmp_path)


def test_make_demo_is_run_as_its_recipe():
    assert _recipe("make demo").startswith("quadgate train ")
    assert _recipe("make test") is None
