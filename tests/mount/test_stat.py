"""`pseudokern stat` tells what devices did and where the time of the CPUs went."""

import json

import pytest

from tests.mount.booted import DEBUG, pseudokern

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


def test_since_shows_what_has_come_after_the_file_was_written(laptop, tmp_path):
    before = json.loads(stat(laptop, "--json"))
    file = tmp_path / "before"
    file.write_text(json.dumps(before))
    since = json.loads(stat(laptop, "--json", "--since", file))
    after = json.loads(stat(laptop, "--json"))
    earlier, later = before["devices"]["eth0"], after["devices"]["eth0"]
    assert 0 <= since["devices"]["eth0"]["delivered"] <= later["delivered"] - earlier["delivered"]
    queue = since["devices"]["eth0"]["queues"][2]
    assert (queue["queue"], queue["cpu"]) == ("rx-2", later["queues"][2]["cpu"])
    assert 0 <= queue["interrupts"] < earlier["queues"][2]["interrupts"]
    for state, ticks in since["ticks"]["cpu1"].items():
        assert ticks <= after["ticks"]["cpu1"][state] - before["ticks"]["cpu1"][state]


BOARD = """\
[machine]
cpus = 2
[[device]]
name = "eth0"
driver = "pseudokern.drivers.nic"
style = "ice"
queues = 2
[[load]]
device = "eth0"
rate = "100 kHz"
flows = 64
[[application]]
name = "web"
kind = "server"
device = "eth0"
"""


@pytest.fixture
def served(boot, tmp_path):
    """A card that a program reads, which has done so for a while; and what it had done then."""
    board, before = tmp_path / "board.toml", tmp_path / "before"
    board.write_text(BOARD)
    machine = boot(board, "--clock", "step")
    (machine / f"{DEBUG}/clock/advance").write_text("50ms")
    before.write_text(stat(machine, "--json"))
    return machine, before


def later(served, milliseconds=5):
    machine, before = served
    (machine / f"{DEBUG}/clock/advance").write_text(f"{milliseconds}ms")
    return json.loads(stat(machine, "--json", "--since", before))


def test_since_counts_interrupts_that_were_requested_anew_from_then_on(served):
    (served[0] / f"{DEBUG}/net/eth0/channels").write_text("combined 1")
    [queue] = later(served)["devices"]["eth0"]["queues"]
    assert 0 < queue["interrupts"] <= queue["delivered"] < 600


def test_since_counts_what_a_driver_did_that_has_taken_its_device_again(served):
    for action in ("unbind", "bind"):
        (served[0] / f"sys/bus/pci/drivers/ice/{action}").write_text("0000:00:02.0")
    eth0 = later(served)["devices"]["eth0"]
    assert 400 < eth0["offered"] < 600
    assert sum(queue["delivered"] for queue in eth0["queues"]) == eth0["delivered"]


def test_since_tells_the_time_that_a_program_took_since_then(served):
    web = later(served)["applications"]["web"]
    [thread] = web["queues"]
    assert web["user"] == f"{thread['user_us']} us"
    assert 0 < thread["user_us"] < 5000


def test_since_refuses_a_file_that_it_did_not_write(laptop, tmp_path):
    file = tmp_path / "other"
    file.write_text("{}")
    said = pseudokern("stat", "--at", laptop.directory, "--since", file)
    assert said.returncode == 2
    assert "make it with: pseudokern stat --json > FILE" in said.stderr


def test_table_has_a_row_for_each_queue_and_each_cpu(laptop):
    rows = [line.split() for line in stat(laptop).splitlines()]
    assert ["queue", "cpu", "interrupts", "delivered", "dropped", "%irq", "%softirq"] in rows
    assert ["nvme0:", "idle"] in rows
    assert [row[0] for row in rows if row[0].startswith(("rx-", "cpu"))][-5:] == [
        "cpu", "cpu0", "cpu1", "cpu2", "cpu3",
    ]  # fmt: skip
