"""Devices that a Q35 board may have besides those that were recorded: names, chips, masks."""

import pytest

from pseudokern.drivers.e1000 import E1000
from pseudokern.drivers.pcieport import PciePort
from pseudokern.drivers.recorded import Recorded
from pseudokern.drivers.usb_hcd import UsbHcd
from pseudokern.drivers.virtio import Virtio
from pseudokern.drivers.xhci import Xhci
from pseudokern.irq.desc import Irq
from pseudokern.kernel.softirq import Softirq
from tests.machine_parts import run_for

SECOND_NS = 1_000_000_000


def names(desc):
    return [action.name for action in desc.actions]


def messages(pc):
    return [(names(desc), desc.is_managed) for desc in pc.irqs if desc.irq >= 24]


def test_a_virtio_disk_has_a_managed_queue_for_each_cpu(pc, plug):
    plug(Virtio, "virtio2", kind="blk", rate="100 Hz")
    queues = [([f"virtio2-req.{n}"], True) for n in range(4)]
    assert messages(pc) == [(["virtio2-config"], False), *queues]
    run_for(pc, SECOND_NS)
    assert [pc.irqs[Irq(25 + cpu)].effective_affinity for cpu in range(4)] == [1, 2, 4, 8]
    assert all(pc.irqs[Irq(25 + cpu)].total > 50 for cpu in range(4))
    assert all(this.softirq_counts[Softirq.BLOCK] == 0 for this in pc.kernel.cpus)


def test_a_virtio_scsi_adapter_has_only_its_request_queues_managed(pc, plug):
    plug(Virtio, "virtio3", kind="scsi", queues=2)
    assert messages(pc) == [
        (["virtio3-config"], False),
        (["virtio3-control"], False),
        (["virtio3-event"], False),
        (["virtio3-request"], True),
        (["virtio3-request"], True),
    ]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("console", ["virtio1-config", "virtio1-virtqueues"]),
        ("gpu", ["virtio1-config", "virtio1-control", "virtio1-cursor"]),
        ("input", ["virtio1-config", "virtio1-virtqueues"]),
    ],
)
def test_other_virtio_devices_have_their_names(pc, plug, kind, expected):
    plug(Virtio, "virtio1", kind=kind)
    assert messages(pc) == [([name], False) for name in expected]


def test_a_balloon_has_its_intx_line_only(pc, plug):
    plug(Virtio, "virtio4", kind="balloon", gsi=20, rate="100 Hz")
    run_for(pc, SECOND_NS)
    assert messages(pc) == []
    assert names(pc.irqs[Irq(20)]) == ["virtio4"]
    assert pc.irqs[Irq(20)].total == pytest.approx(100, rel=0.4)


def test_an_e1000_is_on_its_line_although_there_are_messages(pc, plug):
    card = plug(E1000, "eth4", gsi=22, rate="1 kHz")
    run_for(pc, SECOND_NS)
    desc = pc.irqs[Irq(22)]
    assert (names(desc), desc.flow_name, card.function.driver) == (["eth4"], "fasteoi", "e1000")
    assert desc.total == pytest.approx(1_000, rel=0.1)


def test_usb_controllers_number_their_buses_in_the_order_of_probing(pc, plug):
    plug(UsbHcd, "usb-a", kind="ehci", bdf="00:1d.7", gsi=19)
    plug(Xhci, "xhci_hcd", bdf="00:07.0")  # two buses, 2 and 3
    plug(UsbHcd, "usb-b", kind="uhci", bdf="00:1d.0", gsi=16)
    plug(UsbHcd, "usb-c", kind="uhci", bdf="00:1d.1", gsi=16)
    assert names(pc.irqs[Irq(19)]) == ["ehci_hcd:usb1"]
    assert names(pc.irqs[Irq(16)]) == ["uhci_hcd:usb4", "uhci_hcd:usb5"]


def test_services_of_a_root_port_share_its_only_message(pc, plug):
    plug(PciePort, "port0", services=["hp", "aer", "pme"])
    [shared] = [desc for desc in pc.irqs if desc.irq >= 24]
    assert names(shared) == ["PCIe PME", "aerdrv", "pciehp"]
    assert shared.chip.name == "PCI-MSIX-0000:00:02.0"
    run_for(pc, SECOND_NS // 100)
    comms = [thread.comm for thread in pc.irqs.kthreads.by_pid.values()]
    assert [comm for comm in comms if comm.startswith("irq/")] == ["irq/24-aerdrv", "irq/24-pciehp"]


def test_services_of_a_root_port_share_its_line_without_messages(pc, plug):
    pc.pci.has_messages = False
    plug(PciePort, "port0", gsi=22)
    assert names(pc.irqs[Irq(22)]) == ["PCIe PME", "aerdrv"]
    run_for(pc, SECOND_NS // 100)


def test_rows_of_any_other_driver_take_the_next_numbers(pc, plug):
    plug(Xhci, "xhci_hcd", bdf="00:07.0")  # 24 to 28
    vectors = [{"index": 0, "name": "snd_hda_intel:card0"}]
    plug(Recorded, "sound", messages="msi", linux_driver="snd_hda_intel", vectors=vectors)
    assert names(pc.irqs[Irq(29)]) == ["snd_hda_intel:card0"]
    assert pc.irqs[Irq(29)].chip.name == "PCI-MSI-0000:00:02.0"
