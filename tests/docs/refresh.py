"""Run the commands of the manual, and write what they print into it.

python -m tests.docs.refresh [PAGE...]     without a page: all of them
"""

import sys
import tempfile
from pathlib import Path

from tests.docs.pages import PAGES, Page
from tests.docs.session import run


def refresh(path: Path) -> None:
    """Replace the output of each command that prints something else."""
    page = Page.read(path)
    with tempfile.TemporaryDirectory() as directory:
        outcomes = run(page, Path(directory))
    for outcome in reversed(outcomes):
        command = outcome.command
        if outcome.problem:
            print(f"{path.name}:{command.line}: $ {command.text}: status {outcome.status}")
            if not command.hidden:
                page.lines[command.first : command.end] = outcome.printed
    if len(outcomes) < len(page.commands):
        print(f"{path.name}: hangs: $ {page.commands[len(outcomes)].text}")
    path.write_text("\n".join(page.lines) + "\n")


if __name__ == "__main__":
    for page_path in [Path(name) for name in sys.argv[1:]] or PAGES:
        refresh(page_path)
