"""Interfaces say what they received; /proc/net sums it up."""

import errno

import pytest


@pytest.fixture
def laptop(boot):
    return boot("laptop")


def eth0(files):
    link = files.tree.readlink("/sys/class/net/eth0")
    return f"/sys/{link.removeprefix('../../')}"


def number(files, name):
    return int(files.read(f"{eth0(files)}/{name}"))


def test_packets_of_the_interface_are_those_of_its_line_in_proc_net_dev(laptop):
    laptop.run_for(100_000_000)
    packets = number(laptop, "statistics/rx_packets")
    assert packets > 50
    assert number(laptop, "statistics/rx_bytes") == 64 * packets
    header, names, *lines = laptop.read("/proc/net/dev").decode().splitlines()
    assert header.startswith("Inter-|   Receive")
    found = {line.split(":")[0].strip(): line.split(":")[1].split() for line in lines}
    assert found["eth0"][:4] == [str(64 * packets), str(packets), "0", "0"]
    assert len(found["eth0"]) == len(names.replace("|", " ").split()) - 1


def test_softnet_stat_has_a_line_of_fifteen_numbers_for_each_online_cpu(laptop):
    laptop.run_for(100_000_000)
    lines = [line.split() for line in laptop.read("/proc/net/softnet_stat").decode().splitlines()]
    assert [len(line) for line in lines] == [15] * 4
    assert [int(line[12], 16) for line in lines] == [0, 1, 2, 3]
    received = sum(device.received().packets for device in laptop.machine.devices
                   if hasattr(device, "received"))  # fmt: skip
    assert sum(int(line[0], 16) for line in lines) == received
    laptop.write("/sys/devices/system/cpu/cpu2/online", "0")
    cpus = [int(line.split()[12], 16) for line in
            laptop.read("/proc/net/softnet_stat").decode().splitlines()]  # fmt: skip
    assert cpus == [0, 1, 3]


def test_softnet_stat_of_6_1_ends_with_the_cpu(boot):
    lines = boot("laptop", kernel="6.1").read("/proc/net/softnet_stat").decode().splitlines()
    assert [len(line.split()) for line in lines] == [13] * 4
    assert [int(line.split()[12], 16) for line in lines] == [0, 1, 2, 3]


def test_mtu_takes_68_to_9216(laptop):
    laptop.write(f"{eth0(laptop)}/mtu", "9216\n")
    assert number(laptop, "mtu") == 9216
    with pytest.raises(OSError, match="67 is not from 68 to 9216"):
        laptop.write(f"{eth0(laptop)}/mtu", "67\n")


def test_interface_that_is_down_does_not_know_its_carrier(laptop):
    assert number(laptop, "carrier") == 1
    laptop.write(f"{eth0(laptop)}/flags", "0x1002")
    with pytest.raises(OSError, match="eth0 is down"):
        number(laptop, "carrier")


def test_napi_is_tuned_by_files_of_the_interface(laptop):
    for name, text in (("gro_flush_timeout", "20000"), ("napi_defer_hard_irqs", "2")):
        assert number(laptop, name) == 0
        laptop.write(f"{eth0(laptop)}/{name}", f"{text}\n")
        assert number(laptop, name) == int(text)
    with pytest.raises(OSError, match="napi_defer_hard_irqs"):
        laptop.write(f"{eth0(laptop)}/napi_defer_hard_irqs", "2147483648\n")
    with pytest.raises(OSError, match="threaded") as refused:
        laptop.write(f"{eth0(laptop)}/threaded", "2\n")
    assert refused.value.errno == errno.EOPNOTSUPP
    laptop.write(f"{eth0(laptop)}/threaded", "1\n")
    assert number(laptop, "threaded") == 1
    before = number(laptop, "statistics/rx_packets")
    laptop.run_for(100_000_000)
    assert number(laptop, "statistics/rx_packets") > before + 50
