"""The manual is true: whoever types what it shows sees what it shows."""

from pathlib import Path

import pytest

from tests.docs.pages import PAGES, Page
from tests.docs.session import Outcome, run

with_commands = [path for path in PAGES if Page.read(path).commands]


@pytest.mark.mount
@pytest.mark.slow
@pytest.mark.parametrize("path", with_commands, ids=lambda path: path.stem)
def test_every_command_of_a_page_prints_what_the_page_shows(path: Path, tmp_path: Path) -> None:
    page = Page.read(path)

    outcomes = run(page, tmp_path)

    problems = [
        f"{path.name}:{outcome.command.line}: $ {outcome.command.text}\n{outcome.problem}"
        for outcome in outcomes
        if outcome.problem
    ]
    assert not problems, "\n\n".join(problems)
    hangs = [command.text for command in page.commands[len(outcomes) :][:1]]
    assert not hangs


def test_a_count_may_differ_where_the_page_says_so_and_a_word_may_not() -> None:
    page = Page(Path("page"), ["```console counts", "$ cat x", " 29:    17  eth0", "```"])
    page._read_console(1, 3, counts=True)
    command = page.commands[0]

    assert not Outcome(command, 0, [" 29:  9999  eth0"]).problem
    assert Outcome(command, 0, [" 29:  9999  eno0"]).problem


def test_a_command_that_fails_without_the_page_saying_so_is_found() -> None:
    page = Page(Path("page"), ["```console", "$ false", "```"])
    page._read_console(1, 2, counts=False)

    assert Outcome(page.commands[0], 1, []).problem
