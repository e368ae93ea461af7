"""irq and softirq of /proc/stat are what the cost model charges for what /proc counts."""

import re
from operator import le

from hypothesis import given, settings
from hypothesis import strategies as st

from pseudokern.fs.stat import NS_PER_TICK, _times_ns
from pseudokern.kernel.softirq import Softirq
from tests.machine.lives import Life, boards, more_steps, steps


def interrupts_ns(life):
    """Time in hard interrupts of each CPU, from counts alone; without completions of the drive."""
    machine, cost = life.machine, life.machine.kernel.cost
    totals = []
    backlogs = getattr(getattr(machine.kernel.net_rx, "steering", None), "backlogs", {})
    for this in machine.kernel.cpus:
        counts = this.counts
        ipis = counts.reschedule + counts.call_function
        total_ns = (counts.apic_timer + ipis) * cost.overhead_ns + counts.apic_timer * cost.tick_ns
        if this.cpu in backlogs:
            total_ns += backlogs[this.cpu].ipis * (cost.handler_ns // 2)
        for desc in machine.irqs:
            each_ns = cost.overhead_ns + sum(action.cost_ns for action in desc.actions)
            total_ns += desc.kstat_irqs[this.cpu] * each_ns
        totals.append(total_ns)
    return totals


def softirqs_ns(life):
    """Time in softirqs of all CPUs, from counts alone; timers that expired are left out."""
    machine, cost = life.machine, life.machine.kernel.cost
    backlogs = getattr(getattr(machine.kernel.net_rx, "steering", None), "backlogs", {}).values()
    passes = sum(sum(this.softirq_counts) for this in machine.kernel.cpus)
    polled = sum(queue.packets for queue in life.nic.rings)
    polled += sum(backlog.packets for backlog in backlogs)
    return passes * cost.softirq_ns + polled * cost.softirq_item_ns


@settings(max_examples=25, deadline=None)
@given(board=boards(), script=st.lists(steps, max_size=12))
def test_irq_and_softirq_time_is_the_sum_of_what_is_charged(tmp_path_factory, board, script):
    life = Life(tmp_path_factory.mktemp("life"), board)
    for step in [("rate", 200, 16), ("depth", 2), ("run", 500_000), *script, ("run", 500_000)]:
        life.do(step)
    life.come_to_rest()
    machine, cost = life.machine, life.machine.kernel.cost
    machine.pc.fold_counts()
    charged = [this.hardirq_ns for this in machine.kernel.cpus]
    completions = sum(charged) - sum(interrupts_ns(life))
    disk = life.drive.io.get().disk
    assert completions == sum(disk.statistics.ios) * cost.softirq_item_ns
    rest_ns = sum(this.softirq_ns for this in machine.kernel.cpus) - softirqs_ns(life)
    timers = sum(this.softirq_counts[Softirq.TIMER] for this in machine.kernel.cpus)
    assert 0 <= rest_ns <= 2 * timers * cost.softirq_item_ns
    assert rest_ns % cost.softirq_item_ns == 0
    shown = re.findall(r"^cpu(\d+) (.*)$", life.files.read("/proc/stat").decode(), re.M)
    for number, row in shown:
        this, times = machine.kernel.cpus[int(number)], row.split()
        assert int(times[5]) == this.hardirq_ns // NS_PER_TICK
        assert int(times[6]) == this.softirq_ns // NS_PER_TICK


@settings(max_examples=25, deadline=None)
@given(board=boards(), script=st.lists(more_steps, max_size=12))
def test_the_times_of_a_cpu_add_up_to_those_it_was_on_at_every_instant(
    tmp_path_factory, board, script
):
    life = Life(tmp_path_factory.mktemp("life"), board)
    machine = life.machine
    before = [[0] * 4 for _ in machine.kernel.cpus]
    for step in [("rate", 200, 16), ("depth", 2), ("run", 500_000), *script, ("run", 500_000)]:
        life.do(step)
        for this in machine.kernel.cpus:
            times_ns, now_ns = _times_ns(machine, this), machine.timeline.now_ns
            off_ns = this.offline_ns
            if not machine.kernel.is_online(this.cpu):
                off_ns += max(0, now_ns - this.offline_since_ns)
            assert sum(times_ns) == now_ns - off_ns
            # What a kernel thread takes is charged as a whole, so idle may shrink by as much.
            taken_ns = [times_ns[2], *times_ns[5:8]]
            assert all(map(le, before[this.cpu], taken_ns))
            before[this.cpu] = taken_ns
