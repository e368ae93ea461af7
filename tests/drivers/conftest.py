"""Devices plugged into a small PC, with options written as in a machine file."""

import pytest

from tests.drivers.plugging import built, plugged
from tests.machine_parts import new_pc


@pytest.fixture
def cpus():
    return 4


@pytest.fixture
def pc(cpus):
    return new_pc(cpus)


@pytest.fixture
def build(pc):
    """A device that is not plugged in yet: build(Nic, "eth0", queues=2, rate="1 kHz")."""
    return lambda driver, name, **written: built(pc, driver, name, **written)


@pytest.fixture
def plug(pc):
    """The same, plugged in, probed and opened."""
    return lambda driver, name, **written: plugged(pc, driver, name, **written)
