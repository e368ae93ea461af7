"""Devices plugged into a small PC, with options written as in a machine file."""

from contextlib import suppress

import pytest

from pseudokern.drivers.keys import Limits, Problems
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

    def build_device(driver, name, **written):
        limits = Limits(cpus=pc.kernel.nr_cpu_ids, nodes=1, gsis=24)
        written = {"bdf": "00:02.0", **written}
        options = {}
        for word, key in driver.KEYS.items():
            if word in written:
                options[word] = key.parse(written[word], limits, options)
            else:
                options[word] = key.parse_default(limits, options)
            assert not isinstance(options[word], Problems), options[word]
        return driver(pc, name, options)

    return build_device


@pytest.fixture
def plug(build):
    """The same, plugged in, probed and opened."""

    def plug_device(driver, name, **written):
        device = build(driver, name, **written)
        device.plug()
        with suppress(OSError):  # it is in the log
            device.attach()
        device.open()
        return device

    return plug_device
