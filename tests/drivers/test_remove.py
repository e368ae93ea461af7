"""A driver that lets go of its device leaves nothing behind, and can have it again."""

import pytest

from pseudokern.drivers.ahci import Ahci
from pseudokern.drivers.e1000 import E1000
from pseudokern.drivers.edu import Edu
from pseudokern.drivers.nic import Nic
from pseudokern.drivers.nvme import Nvme
from pseudokern.drivers.pcieport import PciePort
from pseudokern.drivers.rtl8139 import Rtl8139
from pseudokern.drivers.smbus import Smbus
from pseudokern.drivers.usb_hcd import UsbHcd
from pseudokern.drivers.virtio import Virtio
from pseudokern.drivers.virtio_rng import VirtioRng
from pseudokern.drivers.xhci import Xhci
from pseudokern.irq.desc import Irq
from pseudokern.irq.flags import Irqf, IrqReturn
from pseudokern.irq.manage import disable_irq
from pseudokern.irq.request import request_irq
from tests.machine_parts import log_of, run_for

MS = 1_000_000

DRIVERS = [
    (Ahci, {"rate": "1 kHz"}),
    (E1000, {"rate": "1 kHz"}),
    (Edu, {}),
    (Nic, {"style": "igb", "queues": 2, "rate": "5 kHz"}),
    (Nic, {"style": "virtio-net", "queues": 2, "rate": "5 kHz"}),
    (Nvme, {"queues": 4, "rate": "1 kHz"}),
    (PciePort, {"services": ["pme", "aer", "hp"]}),
    (Rtl8139, {"rate": "1 kHz"}),
    (Smbus, {}),
    (UsbHcd, {"rate": "1 kHz"}),
    (Virtio, {"kind": "blk", "rate": "1 kHz"}),
    (Virtio, {"kind": "scsi", "queues": 2, "rate": "1 kHz"}),
    (Virtio, {"kind": "balloon", "rate": "1 kHz"}),
    (VirtioRng, {"rate": "1 kHz"}),
    (Xhci, {"rate": "1 kHz"}),
]
EACH_DRIVER = pytest.mark.parametrize(
    ("driver", "written"), DRIVERS, ids=lambda value: getattr(value, "__name__", "")
)


def handlers(pc):
    return [(desc.irq, action.name) for desc in pc.irqs for action in desc.actions]


def vectors(pc):
    matrix = pc.vectors.matrix
    return [
        (cpu_map.allocated, cpu_map.managed, cpu_map.managed_allocated) for cpu_map in matrix.maps
    ], matrix.global_reserved


@pytest.mark.parametrize("style", ["ice", "mlx5", "virtio-net"])
def test_a_card_takes_back_its_affinity_hints_before_it_frees_the_lines(pc, plug, style):
    card = plug(Nic, "eth0", style=style, queues=2)
    card.close()
    card.open()
    card.release()
    assert "WARNING" not in log_of(pc)


def test_frames_that_are_in_the_ring_when_a_driver_lets_go_are_lost_with_it(pc, plug):
    card = plug(Nic, "eth0", style="ice")
    [queue] = card.queues
    queue.scheduled = True  # and nobody polls
    for _ in range(3):
        queue.receive(pc.kernel.timeline.now_ns)
    card.remove()
    assert (queue.waiting, card.received().discarded) == (0, 3)


@EACH_DRIVER
def test_removed_device_has_no_handler_no_message_and_no_vector(pc, plug, driver, written):
    before = handlers(pc), vectors(pc), len(pc.irqs)
    device = plug(driver, "dev0", gsi=20, **written)
    run_for(pc, 10 * MS)
    assert (handlers(pc), vectors(pc), len(pc.irqs)) != before
    device.remove()
    assert (handlers(pc), vectors(pc), len(pc.irqs)) == before
    assert not device.function.irqs
    assert device.function.irq == 20
    assert device.function.driver == ""


@EACH_DRIVER
def test_removed_device_does_nothing_any_more(pc, plug, driver, written):
    device = plug(driver, "dev0", gsi=20, **written)
    run_for(pc, 10 * MS)
    device.remove()
    run_for(pc, MS)  # what was on its way arrives
    events = pc.kernel.timeline.events, sum(desc.total for desc in pc.irqs)
    run_for(pc, 100 * MS)
    assert pc.kernel.timeline.events <= events[0] + 2  # what a stream had on the timeline
    assert sum(desc.total for desc in pc.irqs) == events[1]


@EACH_DRIVER
def test_device_that_is_probed_again_gets_the_same_numbers_and_works(pc, plug, driver, written):
    device = plug(driver, "dev0", gsi=20, **written)
    first = handlers(pc)
    device.remove()
    device.attach()
    device.open()
    assert handlers(pc) == first
    run_for(pc, 50 * MS)
    assert "rate" not in written or sum(desc.total for desc in pc.irqs) > 20


def test_line_is_there_until_its_last_device_is_disabled_and_comes_back(build, pc):
    first = build(Smbus, "smbus", bdf="00:02.0", gsi=16)
    second = build(Rtl8139, "eth0", bdf="00:03.0", gsi=16, rate="1 kHz")
    for device in (first, second):
        device.plug()
        device.attach()
        device.open()
    before = vectors(pc)
    second.remove()
    assert pc.irqs.get(Irq(16)) is not None
    first.remove()
    assert pc.irqs.get(Irq(16)) is None
    assert vectors(pc) != before
    second.attach()
    second.open()
    run_for(pc, 100 * MS)
    assert vectors(pc) == before
    assert pc.irqs[Irq(16)].total == pytest.approx(100, rel=0.4)


def test_line_with_a_handler_of_somebody_else_stays(pc, plug):
    device = plug(Smbus, "smbus", gsi=16)
    request_irq(pc.irqs, Irq(16), lambda: IrqReturn.NONE, Irqf.SHARED, "other", "other")
    device.remove()
    assert [action.name for action in pc.irqs[Irq(16)].actions] == ["other"]


def test_lowest_free_numbers_are_handed_out_again(pc, plug):
    first = plug(Ahci, "sata0", bdf="00:03.0")
    plug(Ahci, "sata1", bdf="00:04.0")
    wide = plug(Nvme, "nvme0", bdf="00:05.0", queues=4)
    assert list(wide.function.irqs) == [26, 27, 28, 29, 30]
    first.remove()
    wide.remove()
    wide.attach()
    assert list(wide.function.irqs) == [26, 27, 28, 29, 30]  # five do not fit into the gap of one
    first.attach()
    assert list(first.function.irqs) == [24]


def test_managed_vectors_are_free_for_others_again(pc, plug):
    before = pc.vectors.matrix.maps[3].managed
    drive = plug(Nvme, "nvme0", queues=4)
    assert pc.vectors.matrix.maps[3].managed == before + 1
    drive.remove()
    assert pc.vectors.matrix.maps[3].managed == before


def test_interrupt_that_waits_at_a_masked_message_is_lost_there(pc, plug):
    card = plug(Ahci, "sata0")
    desc = pc.irqs[24]
    disable_irq(desc)
    for _ in range(2):  # the first one masks the line, the second waits in its pending bit
        card.function.msi.entries[0].trigger(pc.kernel.timeline.now_ns)
        run_for(pc, MS)
    card.remove()
    losses = pc.losses()
    assert losses["pending at a message that went"] == 1
    assert losses["pending at a line that went"] == 1


def test_interrupt_that_waits_for_a_busy_cpu_finds_no_line(pc, plug):
    card = plug(Ahci, "sata0")
    entry = card.function.msi.entries[0]
    cpu = pc.cpus[pc.irqs[24].effective_affinity.bit_length() - 1]
    cpu.occupy(MS)
    entry.trigger(pc.kernel.timeline.now_ns)
    card.remove()
    run_for(pc, 2 * MS)
    assert pc.losses()["vector without a line"] == 1


def test_device_lets_go_of_a_shared_line(pc, plug):
    one = plug(Rtl8139, "eth1", bdf="00:03.0", gsi=20)
    two = plug(Rtl8139, "eth2", bdf="00:04.0", gsi=20)
    pc.cpus[pc.irqs[20].effective_affinity.bit_length() - 1].occupy(MS)
    one.assert_intx(0)
    one.remove()
    run_for(pc, 5 * MS)
    assert [action.name for action in pc.irqs[20].actions] == ["eth2"]
    assert pc.irqs[20].total <= 1
    two.receive(pc.kernel.timeline.now_ns)
    run_for(pc, MS)
    assert two.ring.packets == 1


def test_probe_that_fails_halfway_gives_back_what_it_got(pc, build):
    class Half(Ahci):
        def probe(self):
            super().probe()
            raise OSError(5, "no answer")

    device = build(Half, "sata0")
    device.plug()
    with pytest.raises(OSError, match="no answer"):
        device.attach()
    assert not device.function.irqs
    assert pc.irqs.get(24) is None
    assert log_of(pc)[-1] == "ahci 0000:00:02.0: probe with driver ahci failed with error -5"


def test_interface_that_is_down_keeps_its_vectors_and_frees_its_handlers(pc, plug):
    card = plug(Nic, "eth0", style="igb", queues=2, rate="5 kHz")
    names = handlers(pc)
    card.close()
    assert handlers(pc) == []
    assert list(card.function.irqs) == [24, 25, 26]
    card.open()
    assert handlers(pc) == names
    run_for(pc, 50 * MS)
    assert pc.irqs[25].total > 100


def test_virtio_card_keeps_its_handlers_while_it_is_down(pc, plug):
    card = plug(Nic, "eth0", style="virtio-net", queues=1, rate="5 kHz")
    names = handlers(pc)
    card.close()
    assert handlers(pc) == names
    run_for(pc, MS)
    counts = pc.irqs[25].total
    run_for(pc, 50 * MS)
    assert pc.irqs[25].total == counts
