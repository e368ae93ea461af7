"""Programs that print whole tables agree with them to the last count: time stands still."""

import json
import re
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from tests.clients.conftest import PATIENCE_S
from tests.mount.booted import Rows

pytestmark = [pytest.mark.mount, pytest.mark.root]

PORT = 19_117


@pytest.mark.clients(lsirq="util-linux-extra")
def test_lsirq_adds_up_every_row(inside):
    said = inside(
        "echo 2s > /sys/kernel/debug/pseudokern/clock/advance\n"
        "cat /proc/interrupts; echo '== lsirq'; lsirq -J",
        *("--clock", "step"),
    )
    table, _, report = said.stdout.partition("== lsirq\n")
    rows = Rows(table)
    shown = {row["irq"]: row for row in json.loads(report)["interrupts"]}

    assert {irq: row["total"] for irq, row in shown.items()} == {
        irq: rows.total(irq) for irq in rows.rows
    }
    (queue,) = [row for row in shown.values() if "TxRx-15" in (row["name"] or "")]
    assert queue["name"].split() == ["PCI-MSIX-0000:17:00.0", "16-edge", "ice-eth0-TxRx-15"]
    assert queue["total"] > 100


@pytest.mark.clients(prometheus_node_exporter="prometheus-node-exporter")
def test_node_exporter_s_totals_are_those_of_proc_interrupts(mounted):
    exporter = subprocess.Popen(
        [
            "prometheus-node-exporter",
            *(f"--path.procfs={mounted}/proc", f"--path.sysfs={mounted}/sys"),
            f"--web.listen-address=127.0.0.1:{PORT}",
            "--collector.disable-defaults",
            *("--collector.interrupts", "--collector.stat", "--collector.cpu"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        metrics = _metrics()
    finally:
        exporter.terminate()
        exporter.communicate(timeout=PATIENCE_S)
    pattern = r'^node_interrupts_total\{cpu="(\d+)",.*type="(\w+)"\} (\S+)$'
    shown = {
        (kind, int(cpu)): int(float(count))
        for cpu, kind, count in re.findall(pattern, metrics, re.MULTILINE)
    }
    rows = Rows((mounted / "proc/interrupts").read_text())

    # It leaves out rows without a number for each CPU.
    wanted = {irq: counts for irq, counts in rows.rows.items() if irq not in ("ERR", "MIS")}
    assert shown == {
        (irq, cpu): count for irq, counts in wanted.items() for cpu, count in enumerate(counts)
    }
    assert metrics.count("node_cpu_seconds_total{") == 32 * 8
    intr = int((mounted / "proc/stat").read_text().split("intr ")[1].split()[0])
    (total,) = re.findall(r"^node_intr_total (\S+)$", metrics, re.MULTILINE)
    assert float(total) == intr


def _metrics() -> str:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=10) as page:
                return page.read().decode()
        except urllib.error.URLError:
            assert time.monotonic() < deadline, "the exporter never listens"
            time.sleep(0.05)


@pytest.mark.clients(tuna="tuna")
def test_tuna_lists_moves_and_spreads_interrupts(inside):
    said = inside(
        """
        irq=$(sed -n 's/^ *\\([0-9]*\\):.*TxRx-0$/\\1/p' /proc/interrupts)
        tuna --irqs=$irq --cpus=21 --move
        cat /proc/irq/$irq/smp_affinity_list
        tuna --irqs='ice-eth0-TxRx-*' --cpus=8-11 --spread
        for queue in /proc/irq/*/ice-eth0-TxRx-*; do cat ${queue%/*}/smp_affinity_list; done
        tuna -Q | grep -c TxRx
        """
    )
    first, *spread, count = said.stdout.split()
    assert (first, count) == ("21", "16")
    assert sorted(map(int, spread)) == [8] * 4 + [9] * 4 + [10] * 4 + [11] * 4
