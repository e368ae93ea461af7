"""[[load]] tables give devices something to do from boot on, and their mistakes are told."""

import pytest

from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from pseudokern.machine.problems import DescriptionErrors

DISK = """
[machine]
cpus = 2

[[device]]
name = "nvme0"
driver = "pseudokern.drivers.nvme"

[[device]]
name = "ttyS0"
driver = "pseudokern.drivers.uart"
"""


@pytest.fixture
def write(tmp_path):
    def write_file(text, name="disk.toml"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write_file


def problems(path):
    with pytest.raises(DescriptionErrors) as errors:
        load(path)
    return [str(problem) for problem in errors.value.problems]


def test_drive_has_its_load_from_boot_on(write):
    path = write(DISK + '[[load]]\ndevice = "nvme0"\ndepth = 2\n[[load]]\nuser = "1%"\n')
    description = load(path)
    assert description.load.user == 0.01
    machine = Machine(description, 0)
    nvme = machine.devices[0]
    assert nvme.io.totals.in_flight == 4
    machine.timeline.run(1_010_000_000, 10_000_000)
    assert nvme.io.totals.completed > 300


def test_load_is_added_to_that_of_the_base(write):
    write(DISK + '[load]\nuser = "2%"\n', "base.toml")
    text = '[machine]\nbase = "./base.toml"\n[[load]]\ndevice = "nvme0"\nrate = "1 kHz"\n'
    description = load(write(text))
    assert description.load.user == 0.02
    assert [each.options["rate"] for each in description.loads] == [1000]


def test_mistakes_are_told_with_their_lines(write):
    path = write(
        DISK
        + '[[load]]\ndevice = "nvme1"\n[[load]]\ndevice = "ttyS0"\n'
        + '[[load]]\ndevice = "nvme0"\ndept = 3\nread = "110%"\n'
        + "[[load]]\nuser = 0\n[[load]]\ntlb = 0\n"
    )
    told = "\n".join(problems(path))
    assert ':13: [[load]] 1: device is "nvme1"; name a [[device]] of this machine' in told
    assert ':15: [[load]] 2: device is "ttyS0", which takes no load; leave it out' in told
    assert ':18: [[load]] 3: unknown key "dept"; did you mean "depth"?' in told
    assert ":19: [[load]] 3: read" in told
    assert ":22: [[load]] 5: device is missing; give all but one of them a device" in told


def test_load_that_makes_no_sense_is_told_in_the_log(write):
    path = write(DISK + '[[load]]\ndevice = "nvme0"\nread = "50%"\n')
    machine = Machine(load(path), 0)
    assert any(
        "nvme0: no load: load of nvme0: give depth or rate" in str(r) for r in machine.kernel.log
    )


@pytest.mark.parametrize(
    ("parameter", "interrupts"), [("", 5), ("nvme.poll_queues=2", 3), ("nvme.poll_queues=4", 2)]
)
def test_poll_queues_have_no_interrupt(write, parameter, interrupts):
    path = write(DISK.replace("cpus = 2", f'cpus = 4\ncmdline = "{parameter}"'))
    machine = Machine(load(path), 0)
    assert len(machine.devices[0].function.irqs) == interrupts


def test_more_poll_queues_than_cpus_are_refused(write):
    path = write(DISK.replace("cpus = 2", 'cpus = 4\ncmdline = "nvme.poll_queues=5"'))
    machine = Machine(load(path), 0)
    assert len(machine.devices[0].function.irqs) == 5
    text = "nvme: `5' invalid for parameter `poll_queues'"
    assert any(text in str(record) for record in machine.kernel.log)
