"""The configuration space tells what the function is, and how it interrupts at this instant."""

import struct

import pytest

from pseudokern.fs.attributes import Caller

MSI, MSIX = 0x05, 0x11


@pytest.fixture
def laptop(boot):
    return boot("laptop")


def config(files, bdf):
    return files.read(f"/sys/devices/pci{bdf[:7]}/{bdf}/config")


def capabilities(space):
    """Where each stands, by its id."""
    found, place = {}, space[0x34]
    while place:
        found[space[place]] = place
        place = space[place + 1]
    return found


def u16(space, place):
    return struct.unpack_from("<H", space, place)[0]


def test_header_agrees_with_the_files_beside_it(laptop):
    for bdf in laptop.machine.pc.pci.functions:
        space = config(laptop, bdf)
        beside = {
            name: int(laptop.read(f"/sys/devices/pci{bdf[:7]}/{bdf}/{name}"), 16)
            for name in (*("vendor", "device", "class", "revision"),
                         *("subsystem_vendor", "subsystem_device"))
        }  # fmt: skip
        assert len(space) == 256
        assert [u16(space, place) for place in (0, 2, 0x2C, 0x2E)] == [
            beside[name] for name in ("vendor", "device", "subsystem_vendor", "subsystem_device")
        ]
        assert int.from_bytes(space[9:12], "little") == beside["class"]
        assert space[8] == beside["revision"]


def test_card_with_a_queue_for_each_cpu_has_msix_on_and_its_line_off(laptop):
    space = config(laptop, "0000:02:00.0")
    found = capabilities(space)
    assert list(found) == [MSIX]
    assert u16(space, found[MSIX] + 2) == 0x8000 | 4  # enabled, 5 entries
    assert u16(space, 4) == 0x406  # memory, bus master, INTx off


def test_msi_shows_where_the_message_goes_and_a_mask_follows_it(laptop):
    (irq,) = laptop.machine.pc.pci.functions["0000:00:17.0"].irqs
    laptop.write(f"/proc/irq/{irq}/smp_affinity_list", "2")
    laptop.run_for(500_000_000)
    space = config(laptop, "0000:00:17.0")
    place = capabilities(space)[MSI]
    control, address, data = struct.unpack_from("<HQH", space, place + 2)
    assert control == 0x181  # enabled, 1 message, 64 bits, with mask bits
    cpu = int(laptop.read(f"/proc/irq/{irq}/effective_affinity_list"))
    apic_id = laptop.machine.description.topology.apic_id(cpu)
    assert (cpu, address) == (2, 0xFEE00000 | apic_id << 12)
    assert 0x20 <= data & 0xFF <= 0xEF  # its vector


def test_function_without_a_driver_has_no_message_and_is_no_master(laptop):
    laptop.write("/sys/bus/pci/drivers/igb/unbind", "0000:02:00.0")
    space = config(laptop, "0000:02:00.0")
    assert (capabilities(space), u16(space, 4)) == ({}, 0)


def test_anybody_but_root_reads_the_header_alone(laptop):
    stranger = Caller(uid=1000, gid=1000, pid=1)
    file = laptop.tree.open("/sys/devices/pci0000:02/0000:02:00.0/config", 0, stranger)
    assert len(file.read(4096, 0)) == 64
    assert file.read(4096, 64) == b""
    file.release()
