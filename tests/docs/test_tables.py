"""The manual is complete: every key, every file of the mount, and no name that is gone."""

import ast
import re
from collections.abc import Mapping

import pytest

from pseudokern.cli.main import COMMANDS
from pseudokern.drivers import registry, test_lines
from pseudokern.drivers.application import (
    APPLICATION_KEYS,
    IO_KEYS,
    POLL_MODE_KEYS,
    SERVER_KEYS,
)
from pseudokern.drivers.io_load import IO_LOAD_KEYS
from pseudokern.drivers.keys import Key
from pseudokern.drivers.net_load import NET_LOAD_KEYS
from pseudokern.drivers.pci_keys import PCI_KEYS
from pseudokern.drivers.steal import STEAL_KEYS
from pseudokern.fs.entries import ENTRIES, Entry, Folder, Link, Special
from pseudokern.machine.affinities import AFFINITY_KEYS
from pseudokern.machine.caches import CACHE_KEYS
from pseudokern.machine.description import MACHINE_KEYS
from pseudokern.machine.devices import DEVICE_KEYS
from pseudokern.machine.parts import COST_KEYS, CPU_KEYS, LOAD_KEYS
from pseudokern.machine.source import preset_names
from tests.docs.pages import PAGES, ROOT, Page, rows_below

MACHINE_FILES = ROOT / "docs" / "machine-files.md"
FILES = ROOT / "docs" / "files.md"
PACKAGE = ROOT / "pseudokern"

# A heading of the page, and the keys of the table below it.
TABLES: dict[str, Mapping[str, Key]] = {
    "`[machine]`": MACHINE_KEYS,
    "`[cpu]`": CPU_KEYS,
    "`[cache]`": CACHE_KEYS,
    "`[cost]`": COST_KEYS,
    "`[load]`": LOAD_KEYS,
    "`[[load]]`": IO_LOAD_KEYS,
    "`[[load]]` of a network card": NET_LOAD_KEYS,
    "`[[steal]]`": STEAL_KEYS,
    "`[[application]]`": APPLICATION_KEYS,
    "`[[application]]` of kind server": SERVER_KEYS,
    "`[[application]]` of kind poll-mode": POLL_MODE_KEYS,
    "`[[application]]` of kind io": IO_KEYS,
    "`[affinity]`": AFFINITY_KEYS,
    "`[[device]]`": DEVICE_KEYS,
    "Every PCI device": PCI_KEYS,
} | {
    f"`{name}`": {
        key: value
        for key, value in registry.find_driver(name, ROOT).KEYS.items()
        if PCI_KEYS.get(key) is not value
    }
    for name in registry.names()
}


@pytest.mark.parametrize("table", TABLES)
def test_every_key_of_a_machine_file_is_described_with_its_default(table: str) -> None:
    described = {row[0]: row[1:] for row in rows_below(MACHINE_FILES, table)}

    for name, key in TABLES[table].items():
        default, meaning = described.pop(f"`{name}`")
        assert default == default_of(key), name
        assert meaning, name
    assert not described, "described, but not there any more"


def default_of(key: Key) -> str:
    """The cell for a key's default, as it would be written in the file."""
    if key.required:
        return "required"
    if key.derive is not None or key.default is None:
        return "depends"
    if isinstance(key.default, str):
        text = key.default if len(key.default) < 50 else key.default[:20] + " ..."
        return f'`"{text}"`'
    return f"`{str(list(key.default) if isinstance(key.default, tuple) else key.default).lower()}`"


def test_every_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()

    assert [name for name in COMMANDS if f"`pseudokern {name}" not in text] == []


def test_every_preset_is_described() -> None:
    text = MACHINE_FILES.read_text()

    assert [name for name in preset_names() if f"`{name}`" not in text] == []


def test_every_file_of_the_mount_is_in_the_table_with_its_mode() -> None:
    described = {
        row[0]: row[1] for row in rows_below(FILES) if row[0].startswith(("`proc", "`sys", "`dev"))
    }

    for entry in ENTRIES:
        assert described.pop(f"`{entry.path}`") == mode_of(entry), entry.path
    assert not described, "described, but not there any more"


def mode_of(entry: Entry | Special | Link | Folder) -> str:
    if isinstance(entry, Link):
        return "link"
    if isinstance(entry, Folder):
        return f"{entry.mode:04o} dir"
    return "0644 or 0444" if callable(entry.mode) else f"{entry.mode:04o}"


def test_every_irqctl_command_is_described() -> None:
    described = {row[0].strip("`").split()[0] for row in rows_below(FILES) if row[0]}
    commands = {
        name.removeprefix("_do_") for name in dir(test_lines.TestLines) if name.startswith("_do_")
    }

    assert commands <= described


def test_every_module_in_the_examples_is_the_one_that_its_page_shows() -> None:
    pages = [Page.read(ROOT / "docs" / name) for name in ("modules.md", "network.md")]
    shown = {name: text for page in pages for name, text in page.files.items()}
    examples = (ROOT / "docs" / "examples").glob("*.py")

    assert {path.name: path.read_text() for path in examples} == {
        name: text for name, text in shown.items() if name.endswith(".py")
    }


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_link_leads_somewhere(path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())

    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_function_that_a_page_names_is_there(path) -> None:
    for file, name in re.findall(r"`(\w+/\w+\.py)` *\| *`([\w.]+)`", path.read_text()):
        assert name in names_in(file), f"{file} has no {name}"
    for file in re.findall(
        r"`((?:cli|run|fs|machine|drivers|x86|hw|irq|kernel|sim)/\w+\.py)`", path.read_text()
    ):
        assert (PACKAGE / file).is_file(), f"there is no {file}"


def names_in(file: str) -> set[str]:
    """Functions, classes, and methods as Class.method."""
    names = set()
    for node in ast.parse((PACKAGE / file).read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{m.name}" for m in node.body if isinstance(m, ast.FunctionDef)}
    return names
