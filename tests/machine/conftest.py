"""Machine files, checked against two drivers that are as small as drivers can be."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from pseudokern.drivers.keys import (
    Choice,
    CpuList,
    Duration,
    Flag,
    Gsi,
    Integer,
    Key,
    ListOf,
    OneOrEach,
    Rate,
)
from pseudokern.drivers.pci_keys import PCI_KEYS
from pseudokern.machine.description import load
from pseudokern.machine.problems import DescriptionErrors

CARD = SimpleNamespace(
    KEYS={
        **PCI_KEYS,
        "queues": Key(Integer(1, 2048, why="MSI-X has no more entries"), default=1),
        "rate": Key(OneOrEach(Rate()), per="queues", default="0 Hz"),
        "affinity": Key(ListOf(CpuList()), per="queues"),
        "handler": Key(Duration()),
    }
)
LINE = SimpleNamespace(
    KEYS={
        "gsi": Key(Gsi(), required=True, doc="say which line it drives, like gsi = 16"),
        "trigger": Key(Choice("edge", "level"), default="edge"),
        "shared": Key(Flag(), default=False),
        "rate": Key(Rate(), default="0 Hz"),
    }
)
DRIVERS = {"card": CARD, "line": LINE}


def find_driver(name: str, base_dir: Path) -> SimpleNamespace:
    if name not in DRIVERS:
        raise LookupError(f'driver "{name}" does not exist', f"known are {', '.join(DRIVERS)}")
    return DRIVERS[name]


@pytest.fixture
def read(tmp_path):
    """Load a machine file with this text."""

    def read_text(text, *overrides):
        path = tmp_path / "m.toml"
        path.write_text(text)
        return load(path, *overrides, find_driver=find_driver)

    return read_text


@pytest.fixture
def complaints(read, tmp_path):
    """Every problem of a machine file with this text, as a user sees them."""

    def complaints_about(text):
        with pytest.raises(DescriptionErrors) as caught:
            read(text)
        return str(caught.value).replace(f"{tmp_path}/", "").splitlines()

    return complaints_about
