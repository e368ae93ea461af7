"""`pseudokern stat` tells what devices did and where the time of the CPUs went."""

import json

import pytest

from tests.mount.booted import pseudokern

pytestmark = [pytest.mark.mount]


def stat(machine, *options):
    said = pseudokern("stat", "--at", machine.directory, *options)
    assert (said.returncode, said.stderr) == (0, "")
    return said.stdout


def test_json_has_queues_that_add_up_and_shares_of_each_cpu(laptop):
    found = json.loads(stat(laptop, "--json"))
    eth0 = found["devices"]["eth0"]
    assert [queue["queue"] for queue in eth0["queues"]] == ["rx-0", "rx-1", "rx-2", "rx-3"]
    assert sum(queue["delivered"] for queue in eth0["queues"]) == eth0["delivered"] > 0
    assert eth0["offered"] == eth0["delivered"] + eth0["in_flight"]
    assert list(found["cpus"]) == ["cpu0", "cpu1", "cpu2", "cpu3"]
    for shares in found["cpus"].values():
        assert sum(shares.values()) == pytest.approx(100, abs=0.5)


def test_table_has_a_row_for_each_queue_and_each_cpu(laptop):
    rows = [line.split() for line in stat(laptop).splitlines()]
    assert ["queue", "cpu", "interrupts", "delivered", "dropped"] in rows
    assert ["nvme0:", "idle"] in rows
    assert [row[0] for row in rows if row[0].startswith(("rx-", "cpu"))][-5:] == [
        "cpu", "cpu0", "cpu1", "cpu2", "cpu3",
    ]  # fmt: skip
