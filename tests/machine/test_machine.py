"""A machine boots whatever its drivers do."""

from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine

CARD = """
import errno
from pseudokern.drivers.device import Device


class Card(Device):
    def probe(self):
        {body}
"""

FILE = """
[machine]
cpus = 1

[[device]]
name = "card0"
driver = "./card.py"

[[device]]
name = "ttyS0"
driver = "pseudokern.drivers.uart"
"""


def boot(directory, body):
    (directory / "card.py").write_text(CARD.format(body=body))
    (directory / "machine.toml").write_text(FILE)
    description = load(directory / "machine.toml")
    return Machine(description, description.seed)


def test_driver_that_raises_leaves_a_dead_device_and_its_traceback_in_the_log(tmp_path):
    machine = boot(tmp_path, "raise RuntimeError('no such register')")
    log = [record.text for record in machine.kernel.log]
    assert "BUG: probe of card0 raised an exception; the device is dead" in log
    assert log[-1].endswith("RuntimeError: no such register")
    assert [action.name for action in machine.irqs[4].actions] == ["ttyS0"]


def test_driver_that_finds_no_resources_is_told_of_with_its_errno(tmp_path):
    machine = boot(tmp_path, "raise OSError(errno.ENOSPC, 'no vectors')")
    log = [record.text for record in machine.kernel.log]
    assert "card0: probe with driver card failed with error -28" in log
