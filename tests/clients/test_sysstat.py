"""mpstat and sar report the rate that the machine file sets, on the CPU that gets it."""

import json
import re

import pytest

pytestmark = [
    pytest.mark.clients(mpstat="sysstat", sar="sysstat"),
    *(pytest.mark.mount, pytest.mark.root, pytest.mark.slow),
]

RATE_HZ = 10_000  # of ahci0, in server.toml; handled one by one, so that each is counted
IRQ = 'irq=$(sed -n "s/^ *\\([0-9]*\\):.*ahci.*/\\1/p" /proc/interrupts)\n'
ON_CPU_5 = IRQ + "echo 5 > /proc/irq/$irq/smp_affinity_list; sleep 0.2\n"


def test_mpstat_sees_the_rate_on_the_cpu_of_effective_affinity_only(inside):
    said = inside(
        ON_CPU_5
        + "cat /proc/irq/$irq/effective_affinity_list\n"
        + 'echo "== mpstat"; mpstat -o JSON -I CPU,SUM -u -P 4,5 4 1'
    )
    head, _, report = said.stdout.partition("== mpstat\n")
    (host,) = json.loads(report)["sysstat"]["hosts"]
    (shown,) = host["statistics"]
    by_irq = {
        row["cpu"]: {each["name"]: each["value"] for each in row["intr"]}
        for row in shown["individual-interrupts"]
    }
    sums = {row["cpu"]: row["intr"] for row in shown["sum-interrupts"]}

    assert head == "5\n"
    assert host["number-of-cpus"] == 32
    (busy,) = [name for name, rate in by_irq["5"].items() if rate > RATE_HZ / 2]
    assert by_irq["5"][busy] == pytest.approx(RATE_HZ, rel=0.02)
    assert by_irq["4"][busy] == 0
    assert by_irq["5"][busy] <= sums["5"] < RATE_HZ * 1.1
    load = {row["cpu"]: row["irq"] for row in shown["cpu-load"]}
    assert load["5"] > 0.5  # %irq: 10000 handlers of at least a microsecond
    assert load["4"] < load["5"] / 2


def test_mpstat_knows_the_nodes(inside):
    said = inside("mpstat -N ALL 1 1 | grep ^Average | tail -n +2 | tr -s ' ' | cut -d ' ' -f 2,13")
    nodes = [line.split()[0] for line in said.stdout.splitlines()]
    assert nodes == ["all", "0", "1"]


def test_sar_sees_the_rate_of_one_interrupt_on_one_cpu(inside):
    said = inside(ON_CPU_5 + "sar -I ALL --int=$irq 4 1; sar -I SUM 1 1")
    (average,) = re.findall(r"^Average: +\d+ +([0-9.]+)$", said.stdout, re.MULTILINE)
    assert "(32 CPU)" in said.stdout
    assert float(average) == pytest.approx(RATE_HZ, rel=0.02)
    (total,) = re.findall(r"^Average: +sum +([0-9.]+)$", said.stdout, re.MULTILINE)
    assert RATE_HZ < float(total) < 2 * RATE_HZ


def test_mpstat_runs_through_hotplug(inside):
    said = inside(
        """
        (for i in 1 2 3; do
            echo 0 > /sys/devices/system/cpu/cpu3/online; sleep 0.7
            echo 1 > /sys/devices/system/cpu/cpu3/online; sleep 0.7
        done) &
        mpstat -I SUM -P ALL 1 4 > $HOME/mpstat; echo status $?
        wait
        grep -c '^Average:' $HOME/mpstat
        """
    )
    # A header, all, and the CPUs that are online in the end: 31 or 32.
    assert said.stdout in ("status 0\n33\n", "status 0\n34\n")
