"""A card is taken from its driver and given to vfio-pci through /sys, as for DPDK, and back."""

import errno

import pytest

from tests.fs.test_sys_drivers import bound, names, refused

VFIO = "/sys/bus/pci/drivers/vfio-pci"
PROBE = "/sys/bus/pci/drivers_probe"


@pytest.fixture
def q4(boot):
    return boot("q4")


def card(files):
    """Its address, its directory, and its driver."""
    (address,) = bound(files, "e1000e")
    return address, f"/sys/devices/pci0000:00/{address}", "/sys/bus/pci/drivers/e1000e"


def unsafe(boot):
    return boot("q4", cmdline="vfio.enable_unsafe_noiommu_mode=1")


def give(files, address, function, driver):
    files.write(f"{function}/driver_override", "vfio-pci\n")
    files.write(f"{driver}/unbind", address)
    files.write(PROBE, f"{address}\n")


def test_a_card_with_vfio_pci_has_no_interface_and_no_interrupts(boot):
    files = unsafe(boot)
    address, function, driver = card(files)
    give(files, address, function, driver)
    assert bound(files, "vfio-pci") == [address]
    assert files.tree.readlink(f"{function}/driver").endswith("/vfio-pci")
    assert b"eth0" not in files.read("/proc/interrupts")
    assert b"eth0" not in files.read("/proc/net/dev")
    assert "eth0" not in names(files, "/sys/class/net")
    assert "net" not in names(files, function)


def test_it_comes_back_to_its_driver_with_its_interface_up(boot):
    files = unsafe(boot)
    address, function, driver = card(files)
    give(files, address, function, driver)
    files.write(f"{VFIO}/unbind", address)
    assert refused(files, f"{driver}/bind", address) == errno.ENODEV  # the override says otherwise
    files.write(f"{function}/driver_override", "\n")
    assert files.read(f"{function}/driver_override") == b"(null)\n"
    files.write(f"{driver}/bind", address)
    assert b"eth0" in files.read("/proc/interrupts")
    assert files.read(f"{function}/net/eth0/operstate") == b"up\n"


def test_vfio_pci_knows_no_device_by_itself(boot):
    files = unsafe(boot)
    address, function, driver = card(files)
    files.write(f"{driver}/unbind", address)
    assert refused(files, f"{VFIO}/bind", address) == errno.ENODEV
    files.write(f"{function}/driver_override", "vfio-pci")
    files.write(f"{VFIO}/bind", address)
    assert refused(files, f"{VFIO}/bind", address) == errno.EBUSY
    assert refused(files, PROBE, address) == 0  # it has a driver; nothing happens
    assert refused(files, PROBE, "0000:00:1f.7") == errno.ENODEV


def test_without_an_iommu_the_probe_fails_and_the_log_says_so(q4):
    address, function, driver = card(q4)
    q4.write(f"{function}/driver_override", "vfio-pci")
    q4.write(f"{driver}/unbind", address)
    assert refused(q4, f"{VFIO}/bind", address) == errno.EINVAL
    text = f"vfio-pci {address}: probe with driver vfio-pci failed with error -22"
    assert text in q4.read("/sys/kernel/debug/pseudokern/klog").decode()
    q4.write(PROBE, address)  # says nothing, as the device may find no driver either
    assert bound(q4, "vfio-pci") == []


def test_unsafe_mode_taints_the_kernel(boot):
    files = unsafe(boot)
    give(files, *card(files))
    assert (
        "Adding kernel taint for vfio-noiommu group"
        in files.read("/sys/kernel/debug/pseudokern/klog").decode()
    )
    assert int(files.read("/proc/sys/kernel/tainted")) & 1 << 6
