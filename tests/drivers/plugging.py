"""Devices with options written as in a machine file."""

from contextlib import suppress

from pseudokern.drivers.keys import Limits, Problems


def built(pc, driver, name, **written):
    """A device that is not plugged in yet: built(pc, Nic, "eth0", queues=2, rate="1 kHz")."""
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


def plugged(pc, driver, name, **written):
    """The same, plugged in, probed and opened."""
    device = built(pc, driver, name, **written)
    device.plug()
    with suppress(OSError):  # it is in the log
        device.attach()
    device.open()
    return device


def at_once(card):
    """Have a network card interrupt for each frame, which is no driver's default."""
    wanted = {"adaptive-rx": 0, "rx-usecs": 0, "rx-frames": 1}
    known = card.ethtool.coalesce
    card.ethtool.set_coalescing({name: wanted[name] for name in wanted if name in known})
    return card
