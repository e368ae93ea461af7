"""Without messages (pci=nomsi) the drivers share INTx lines, and serve everything with them."""

import pytest

from pseudokern.drivers.ahci import Ahci
from pseudokern.drivers.edu import Edu
from pseudokern.drivers.nic import Nic
from pseudokern.drivers.nvme import Nvme
from pseudokern.drivers.rtl8139 import Rtl8139
from pseudokern.drivers.virtio_rng import VirtioRng
from pseudokern.drivers.xhci import Xhci
from pseudokern.irq.desc import Irq
from pseudokern.kernel.softirq import Softirq
from tests.machine_parts import log_of, new_pc, run_for

GSI = 20
SECOND_NS = 1_000_000_000


@pytest.fixture(params=["I/O APIC", "8259"])
def pc(request):
    pc = new_pc(4, noapic=request.param == "8259")
    pc.pci.has_messages = False
    return pc


@pytest.fixture
def line(pc):
    """The line of PCI line 20: its own at the I/O APIC, 10 at the 8259."""
    return lambda: pc.irqs[Irq(GSI if pc.ioapics else 10)]


def names(desc):
    return [action.name for action in desc.actions]


def polled(nic):
    return sum(queue.frames for queue in nic.queues)


def test_messages_cannot_be_had(pc, plug):
    nic = plug(Nic, "eth0", gsi=GSI)
    for alloc in (pc.pci.alloc_msi, pc.pci.alloc_msix):
        with pytest.raises(OSError, match="pci=nomsi"):
            alloc(nic.function, 1)
    assert not nic.function.irqs


@pytest.mark.parametrize(
    ("driver", "name", "written", "expected"),
    [
        (Ahci, "sata0", {}, ["ahci[0000:00:02.0]"]),
        (Edu, "edu0", {}, ["edu0"]),
        (Nvme, "nvme0", {}, ["nvme0q0", "nvme0q1"]),
        (VirtioRng, "virtio1", {}, ["virtio1"]),
        (Xhci, "usb", {}, ["xhci-hcd:usb1"]),
        (Nic, "eth0", {"style": "e1000e"}, ["eth0"]),
        (Nic, "eth0", {"style": "vmxnet3", "queues": 4}, ["eth0"]),
        (Nic, "eth0", {"style": "igb", "queues": 4}, ["eth0"]),
        (Nic, "virtio0", {"style": "virtio-net", "queues": 4}, ["virtio0"]),
    ],
)
def test_the_actions_are_named_as_the_driver_does_it(plug, line, driver, name, written, expected):
    device = plug(driver, name, gsi=GSI, **written)
    assert names(line()) == expected
    assert device.function.irq == line().irq


def test_the_second_usb_controllers_first_bus_is_number_3(plug, line):
    plug(Xhci, "usb", gsi=GSI)
    plug(Xhci, "more", bdf="00:03.0", gsi=GSI)
    assert names(line()) == ["xhci-hcd:usb1", "xhci-hcd:usb3"]


@pytest.mark.parametrize("style", ["ice", "mlx5"])
def test_a_card_that_needs_msix_goes_without_its_driver(pc, plug, style):
    nic = plug(Nic, "eth0", style=style, rate="1 kHz", gsi=GSI)
    run_for(pc, SECOND_NS // 10)
    driver = {"ice": "ice", "mlx5": "mlx5_core"}[style]
    failed = f"probe with driver {driver} failed with error -22"
    assert log_of(pc)[-1] == f"{driver} 0000:00:02.0: {failed}"
    assert nic.function.driver == ""
    assert not nic.queues


@pytest.mark.parametrize(("style", "queues"), [("igb", 1), ("vmxnet3", 1), ("virtio-net", 4)])
def test_a_card_serves_all_its_frames_with_one_line(pc, plug, line, style, queues):
    nic = plug(Nic, "eth0", style=style, queues=4, rate="1 kHz", gsi=GSI)
    run_for(pc, SECOND_NS)
    assert len(nic.queues) == queues
    assert polled(nic) == pytest.approx(4_000, rel=0.1)
    assert polled(nic) <= sum(queue.arrived for queue in nic.queues) <= polled(nic) + 1
    assert line().total <= polled(nic)
    assert line().irqs_unhandled == 0


def test_handlers_on_a_busy_shared_line_know_whether_it_was_them(pc, plug, line):
    nics = [
        plug(Nic, f"eth{n}", style="e1000e", rate="2 kHz", bdf=f"00:0{n + 2}.0", gsi=GSI)
        for n in range(3)
    ]
    rng = plug(VirtioRng, "virtio1", rate="0 Hz", bdf="00:08.0", gsi=GSI)
    drive = plug(Nvme, "nvme0", rate="1 kHz", bdf="00:09.0", gsi=GSI)
    run_for(pc, SECOND_NS)
    for nic in nics:
        assert polled(nic) == pytest.approx(2_000, rel=0.1)
        assert nic.queues[0].waiting == 0
    completions = sum(this.softirq_counts[Softirq.BLOCK] for this in pc.kernel.cpus)
    assert completions == pytest.approx(4_000, rel=0.1)
    for device in (*nics, rng, drive):
        assert not device.function.intx.is_asserted_by(device)
    assert line().irqs_unhandled == 0
    assert len(line().actions) == 6


def test_a_queue_that_is_polled_already_does_not_pull_the_line(pc, plug, line):
    nic = plug(Nic, "eth0", style="e1000e", gsi=GSI)
    (queue,) = nic.queues
    queue.scheduled = True
    queue.receive(pc.kernel.timeline.now_ns)
    run_for(pc, 10_000)
    assert line().total == 0

    queue.scheduled = False
    queue.receive(pc.kernel.timeline.now_ns)
    run_for(pc, 10_000)
    assert (line().total, queue.frames) == (1, 2)


def test_every_disk_interrupt_raises_block(pc, plug, line):
    plug(Ahci, "sata0", rate="500 Hz", gsi=GSI)
    run_for(pc, SECOND_NS)
    assert line().total == pytest.approx(500, rel=0.15)
    assert sum(this.softirq_counts[Softirq.BLOCK] for this in pc.kernel.cpus) == line().total


def test_network_cards_join_a_line_when_they_are_opened_after_what_was_probed(build, line):
    devices = [
        build(driver, name, bdf=f"00:0{slot}.0", gsi=GSI)
        for slot, driver, name in ((2, Rtl8139, "eth0"), (3, Ahci, "sata0"), (4, Edu, "edu0"))
    ]
    for step in ("plug", "probe", "open"):
        for device in devices:
            getattr(device, step)()
    assert names(line()) == ["ahci[0000:00:03.0]", "eth0", "edu0"]
