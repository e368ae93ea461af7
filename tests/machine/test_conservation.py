"""Nothing vanishes: a packet or an I/O is done, dropped by name, or in a place, at any instant."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.lives import Life, boards, more_steps


def results(text):
    """The counts of a results file, by name."""
    rows = [row.split() for row in text.splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdecimal()}


def check(life):
    machine, nic, drive = life.machine, life.nic, life.drive
    machine.pc.fold_counts()
    counts = results(nic.show_results())
    sent = {name: counts.pop(name) for name in list(counts) if name.startswith("tx_")}
    offered = counts.pop("offered")
    assert offered == sum(counts.values()), counts
    assert sent.get("tx_offered", 0) == counts.get("xdp_tx", 0)
    disk = drive.io.get().disk
    counts = results(drive.show_results())
    lost = sum(count for name, count in counts.items() if name.startswith("lost_"))
    left = counts["in_flight"] + counts["waiting"]
    assert counts["offered"] == counts["completed"] + lost + left, counts
    under_way = counts["in_flight"]
    for application in machine.applications.values():
        counts = dict(application.counts())
        offered = counts.pop("offered")
        assert offered == sum(counts.values()), (application.name, counts)
        under_way += counts.get("in_flight", 0) - waiting_in(disk, application)
    assert disk.busy <= under_way  # a program hears of an end when the interrupt is over
    check_backlogs(machine, nic)


def waiting_in(disk, application):
    """I/Os of a program that wait for a tag."""
    asked = [request for queue in disk.queues for request in queue.waiting]
    return len(asked) if application.options["kind"] == "io" else 0


def check_backlogs(machine, nic):
    """Every packet that was polled is processed once: here, or in somebody's backlog."""
    processed = sum(this.rx_packets for this in machine.kernel.cpus)
    backlogs = getattr(getattr(machine.kernel.net_rx, "steering", None), "backlogs", {}).values()
    waiting = sum(backlog.waiting + backlog.dropped for backlog in backlogs)
    # A native program of XDP takes packets before they are any.
    taken = sum(xdp.taken - _generic(xdp) for xdp in nic.xdp.queues.values())
    assert processed + waiting == sum(queue.packets for queue in nic.rings) - taken


def _generic(xdp):
    return sum(xdp.generic.values()) - xdp.generic["pass"]


@settings(max_examples=25, deadline=None)
@given(board=boards(), script=st.lists(more_steps, max_size=15))
def test_packets_and_ios_are_conserved_at_every_instant(tmp_path_factory, board, script):
    life = Life(tmp_path_factory.mktemp("life"), board)
    for step in [("rate", 200, 16), ("depth", 2), ("run", 500_000), *script, ("run", 500_000)]:
        life.do(step)
        check(life)
    life.do(("steal", "off"))
    life.do(("updown", True))
    life.come_to_rest()
    check(life)
    assert sum(queue.waiting for queue in life.nic.rings) == 0
    assert life.drive.io.get().disk.busy == 0
