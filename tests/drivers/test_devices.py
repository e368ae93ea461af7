"""What the other devices request, and what their interrupts bring about."""

import pytest

from pseudokern.drivers.acpi import Acpi
from pseudokern.drivers.ahci import Ahci
from pseudokern.drivers.edu import Edu
from pseudokern.drivers.i8042 import I8042
from pseudokern.drivers.nvme import Nvme
from pseudokern.drivers.registry import find_driver
from pseudokern.drivers.timer import Timer
from pseudokern.drivers.uart import Uart
from pseudokern.kernel.softirq import Softirq
from tests.machine_parts import run_for

SECOND_NS = 1_000_000_000


def names(desc):
    return [action.name for action in desc.actions]


def softirqs(pc, number):
    return sum(this.softirq_counts[number] for this in pc.kernel.cpus)


def test_an_nvme_drive_has_an_admin_queue_and_a_managed_queue_for_each_cpu(pc, plug):
    plug(Nvme, "nvme0")
    lines = [desc for desc in pc.irqs if desc.irq >= 24]
    assert [names(desc) for desc in lines] == [[f"nvme0q{n}"] for n in range(5)]
    assert [desc.is_managed for desc in lines] == [False, True, True, True, True]
    assert [desc.effective_affinity for desc in lines[1:]] == [1, 2, 4, 8]


def test_a_completion_interrupts_its_own_cpu_and_ends_there(pc, plug):
    plug(Nvme, "nvme0", queues=4, rate=["1 kHz", "0 Hz", "0 Hz", "0 Hz"])
    run_for(pc, SECOND_NS)
    counts = pc.irqs[25].kstat_irqs
    assert counts[0] == pytest.approx(1_000, rel=0.1)
    assert counts[1:] == [0, 0, 0]
    assert softirqs(pc, Softirq.BLOCK) == 0


def test_drive_with_one_queue_for_all_cpus_ends_its_completions_in_block(pc, plug):
    plug(Nvme, "nvme0", queues=1, rate="1 kHz")
    run_for(pc, SECOND_NS)
    assert softirqs(pc, Softirq.BLOCK) == pc.irqs[25].total > 900


def test_a_sata_controller_has_one_msi(pc, plug):
    plug(Ahci, "sata0", rate="500 Hz")
    run_for(pc, SECOND_NS)
    desc = pc.irqs[24]
    assert desc.chip.name == "PCI-MSI-0000:00:02.0"
    assert names(desc) == ["ahci[0000:00:02.0]"]
    assert desc.total == pytest.approx(500, rel=0.15)


def test_functions_of_a_users_driver_are_named_in_reports(pc, plug, tmp_path):
    (tmp_path / "napper.py").write_text(
        "from pseudokern.drivers.device import Device, IrqReturn\n"
        "from pseudokern.kernel.sleep import might_sleep\n"
        "class Napper(Device):\n"
        "    def probe(self): self.request_irq(10, self.ready, name='napper')\n"
        "    def ready(self):\n"
        "        might_sleep(self.kernel)\n"
        "        return IrqReturn.HANDLED\n"
    )
    plug(find_driver("./napper.py", tmp_path), "napper")
    pc.gsis.pulse(10)
    run_for(pc, 1_000_000)
    shown = [record.text.split("+")[0] for record in pc.kernel.log]
    place = shown.index(" __might_resched")
    assert shown[place + 1] == " ready"
    assert any(record.text.endswith(" [napper]") for record in pc.kernel.log)


def test_a_serial_port_interrupts_on_4_by_edges(pc, plug):
    plug(Uart, "ttyS0", rate="100 Hz")
    run_for(pc, SECOND_NS)
    desc = pc.irqs[4]
    assert names(desc) == ["ttyS0"]
    assert (desc.chip.name, desc.flow_name) == ("IO-APIC", "edge")
    assert desc.total == pytest.approx(100, rel=0.3)


def test_a_keyboard_controller_has_1_and_12(pc, plug):
    plug(I8042, "i8042", keyboard_rate="100 Hz")
    run_for(pc, SECOND_NS)
    assert names(pc.irqs[1]) == names(pc.irqs[12]) == ["i8042"]
    assert pc.irqs[1].total == pytest.approx(100, rel=0.3)
    assert pc.irqs[12].total == 0


def test_the_power_management_interrupt_is_a_shared_level(pc, plug):
    plug(Acpi, "acpi")
    assert (names(pc.irqs[9]), pc.irqs[9].flow_name) == (["acpi"], "fasteoi")


def test_the_boot_timer_ticks_as_often_as_it_is_told_and_stops(pc, plug):
    plug(Timer, "timer", boot_ticks=7)
    run_for(pc, SECOND_NS)
    assert pc.irqs[0].kstat_irqs == [7, 0, 0, 0]
    assert not pc.irqs[0].user_can_set_affinity


def test_an_edu_interrupts_when_it_is_told_to_by_msi(pc, plug):
    edu = plug(Edu, "edu0", interrupt="msi")
    edu.interrupt(0)
    assert pc.irqs[24].total == 1


def test_edus_on_one_line_know_whose_interrupt_it_is(pc, plug):
    one = plug(Edu, "edu1", bdf="00:03.0", gsi=21, interrupt="intx")
    plug(Edu, "edu2", bdf="00:04.0", gsi=21, interrupt="intx")
    one.interrupt(0)
    run_for(pc, 1_000_000)
    desc = pc.irqs[21]
    assert names(desc) == ["edu1", "edu2"]
    assert desc.total == 1
    assert desc.irqs_unhandled == 0


def test_an_edu_that_gave_its_line_back_leaves_no_handler(pc, plug):
    plug(Edu, "edu1", gsi=21, interrupt="freed")
    assert names(pc.irqs[21]) == []
