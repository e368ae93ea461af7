"""Devices plugged into a small PC, with options written as in a machine file."""

import pytest

from pseudokern.drivers.keys import Limits, Problems
from tests.machine_parts import new_pc


@pytest.fixture
def pc():
    return new_pc(4)


@pytest.fixture
def plug(pc):
    """Plug a device in, probe and open it: plug(Nic, "eth0", queues=2, rate="1 kHz")."""

    def plug_device(driver, name, **written):
        limits = Limits(cpus=pc.kernel.nr_cpu_ids, nodes=1, gsis=24)
        written = {"bdf": "00:02.0", **written}
        options = {}
        for word, key in driver.KEYS.items():
            if word in written:
                options[word] = key.parse(written[word], limits, options)
            else:
                options[word] = key.parse_default(limits, options)
            assert not isinstance(options[word], Problems), options[word]
        device = driver(pc, name, options)
        device.plug()
        device.probe()
        device.open()
        return device

    return plug_device
