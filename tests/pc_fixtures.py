"""A PC with four CPUs, and lines of each kind on it."""

import pytest

from tests.machine_parts import intx_lines, isa_line, msix_line, new_pc


@pytest.fixture
def pc():
    return new_pc(4)


@pytest.fixture
def line(pc):
    """An MSI-X line that was requested."""
    return msix_line(pc)


@pytest.fixture
def edge(pc):
    """An ISA line, edge-triggered at the I/O APIC, that was requested."""
    return isa_line(pc).request()


@pytest.fixture
def level(pc):
    """A requested level line: INTx, at the I/O APIC."""
    return intx_lines(pc)[0].request(0x80)
