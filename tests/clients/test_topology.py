"""lscpu, numactl and what else counts CPUs agree with the machine file."""

import re

import pytest

pytestmark = [pytest.mark.mount, pytest.mark.root]


@pytest.mark.clients(lscpu="util-linux")
def test_lscpu_shows_the_cpus_caches_and_nodes_of_the_machine_file(inside):
    said = inside("lscpu; echo 0 > /sys/devices/system/cpu/cpu31/online; lscpu")
    first, second = said.stdout.split("Architecture:")[1:]
    shown = dict(re.findall(r"^(.+?): +(.+)$", first, re.MULTILINE))
    assert {key: shown[key] for key in _WANTED} == _WANTED
    later = dict(re.findall(r"^(.+?): +(.+)$", second, re.MULTILINE))
    assert (later["On-line CPU(s) list"], later["Off-line CPU(s) list"]) == ("0-30", "31")
    assert later["NUMA node1 CPU(s)"] == "8-15,24-30"


_WANTED = {
    "CPU(s)": "32",
    "On-line CPU(s) list": "0-31",
    "Thread(s) per core": "2",
    "Core(s) per socket": "8",
    "Socket(s)": "2",
    "NUMA node0 CPU(s)": "0-7,16-23",
    "NUMA node1 CPU(s)": "8-15,24-31",
    "L1d cache": "768 KiB (16 instances)",
    "L2 cache": "20 MiB (16 instances)",
    "L3 cache": "96 MiB (2 instances)",
}


@pytest.mark.clients(numactl="numactl")
def test_numactl_shows_the_nodes_with_their_memory_and_distances(inside):
    lines = [line.rstrip() for line in inside("numactl -H").stdout.splitlines()]
    assert "available: 2 nodes (0-1)" in lines
    assert "node 1 cpus: 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31" in lines
    assert "node 0 size: 32768 MB" in lines
    assert lines[-3:] == ["node   0   1", "  0:  10  21", "  1:  21  10"]


@pytest.mark.clients(lspci="pciutils")
def test_lspci_shows_the_functions_their_drivers_and_nodes_and_their_messages(inside):
    said = inside("lspci -D -vv")
    functions = dict(re.findall(r"^([0-9a-f:.]{12}) (.*(?:\n\t.*)*)", said.stdout, re.MULTILINE))
    card = functions["0000:17:00.0"]
    assert card.startswith("Ethernet controller")
    assert "NUMA node: 0\n" in card
    assert "MSI-X: Enable+ Count=17 Masked-" in card
    assert "Kernel driver in use: ice" in card
    assert "MSI: Enable+ Count=1/1 Maskable+ 64bit+" in functions["0000:00:17.0"]
    assert "MSI-X: Enable+ Count=33 Masked-" in functions["0000:ca:00.0"]


@pytest.mark.clients(vmstat="procps")
@pytest.mark.slow
def test_vmstat_sees_new_counts_in_the_file_that_it_keeps_open(inside):
    lines = inside("vmstat -n 1 4").stdout.splitlines()
    place = lines[1].split().index("in")
    rates = [int(line.split()[place]) for line in lines[3:]]
    # 10000 of the drive and 16 x 200 of the card, and timer ticks.
    assert len(rates) == 3
    assert all(13_000 * 0.9 < rate < 13_000 * 1.4 for rate in rates)


@pytest.mark.clients(watch="procps", script="bsdutils")
def test_watch_shows_the_machine_in_a_terminal(inside):
    said = inside(
        "TERM=xterm timeout 2 script -qec 'watch -n 0.2 head -n 1 /proc/interrupts' /dev/null"
    )
    assert "Every 0.2s: head -n 1 /proc/interrupts" in said.stdout
    assert "CPU31" in said.stdout
