"""Drivers are taken from their devices and given back through /sys, as on Linux."""

import errno

import pytest

NVME = "/sys/bus/pci/drivers/nvme"
NET = "/sys/class/net"


@pytest.fixture
def q4(boot):
    return boot("q4")


def names(files, path):
    return sorted(name for name, _ in files.tree.readdir(path))


def bound(files, driver):
    return [n for n in names(files, f"/sys/bus/pci/drivers/{driver}") if n.startswith("0000:")]


def follow(files, path):
    """Where a link leads, from the root of the mount."""
    parts = path.split("/")[:-1]
    for part in files.tree.readlink(path).split("/"):
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def refused(files, path, text):
    try:
        files.write(path, text)
    except OSError as error:
        return error.errno
    return 0


def test_device_and_driver_point_at_each_other(q4):
    (address,) = bound(q4, "nvme")
    device = follow(q4, f"{NVME}/{address}")
    assert q4.read(f"{device}/class") == b"0x010802\n"
    assert follow(q4, f"{device}/driver") == NVME


def test_unbound_device_has_no_driver_and_no_interrupts_and_is_bound_again(q4):
    (address,) = bound(q4, "nvme")
    device = follow(q4, f"{NVME}/{address}")
    messages = names(q4, f"{device}/msi_irqs")
    q4.write(f"{NVME}/unbind", f"{address}\n")
    assert bound(q4, "nvme") == []
    assert not {"driver", "msi_irqs"} & set(names(q4, device))
    assert b"nvme" not in q4.read("/proc/interrupts")
    q4.write(f"{NVME}/bind", f"{address}\n")
    assert bound(q4, "nvme") == [address]
    assert names(q4, f"{device}/msi_irqs") == messages


def test_driver_refuses_what_it_does_not_have_or_cannot_drive(q4):
    (address,) = bound(q4, "nvme")
    assert refused(q4, f"{NVME}/unbind", "0000:00:1f.7") == errno.ENODEV
    assert refused(q4, f"{NVME}/bind", "nonsense") == errno.ENODEV
    assert refused(q4, f"{NVME}/bind", address) == errno.EBUSY
    assert refused(q4, "/sys/bus/pci/drivers/e1000e/bind", address) == errno.ENODEV
    assert refused(q4, "/sys/bus/pci/drivers/e1000e/unbind", address) == errno.ENODEV


def test_interface_goes_down_and_up_by_its_flags(q4):
    rows = [line for line in q4.read("/proc/interrupts").splitlines() if b"eth0" in line]
    assert q4.read(f"{follow(q4, f'{NET}/eth0')}/flags") == b"0x1003\n"
    flags = f"{follow(q4, f'{NET}/eth0')}/flags"
    q4.write(flags, "0x1002")
    assert b"eth0" not in q4.read("/proc/interrupts")
    assert q4.read(f"{follow(q4, f'{NET}/eth0')}/operstate") == b"down\n"
    q4.write(flags, "0x1003")
    again = [line for line in q4.read("/proc/interrupts").splitlines() if b"eth0" in line]
    assert [line.split()[0] for line in again] == [line.split()[0] for line in rows]
    assert refused(q4, flags, "up") == errno.EINVAL


def test_unbound_card_has_no_interface_and_is_up_when_it_is_bound_again(q4):
    (address,) = bound(q4, "e1000e")
    assert "eth0" in names(q4, NET)
    q4.write("/sys/bus/pci/drivers/e1000e/unbind", address)
    assert "eth0" not in names(q4, NET)
    q4.write("/sys/bus/pci/drivers/e1000e/bind", address)
    assert b"eth0-rx-0" in q4.read("/proc/interrupts")


def test_files_that_are_only_written_cannot_be_opened_to_read_not_even_by_root(q4):
    for path in (f"{NVME}/bind", f"{NVME}/unbind", "/sys/bus/pci/drivers_probe"):
        with pytest.raises(PermissionError, match="cannot be read"):
            q4.read(path)
