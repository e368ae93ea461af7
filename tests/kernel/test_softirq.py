"""Softirqs run when the interrupt ends, lowest number first, and wait for each other."""

from types import SimpleNamespace

import pytest

from pseudokern.kernel.cost import CostModel
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.softirq import MAX_SOFTIRQ_RESTART, Softirq, Softirqs
from pseudokern.sim.timeline import Timeline
from tests.machine_parts import INTERRUPT_NS, MS, msix_line, new_pc, run_for

SOFTIRQ_NS = 400


@pytest.fixture
def timeline():
    return Timeline()


@pytest.fixture
def this():
    return PerCpu(0)


@pytest.fixture
def softirqs(timeline, this):
    return Softirqs(
        SimpleNamespace(this=PerCpu(1), tick_period_ns=4_000_000), timeline, [this], SOFTIRQ_NS
    )


def test_pending_softirqs_run_in_the_order_of_their_numbers(softirqs, this):
    ran = []
    for number in (Softirq.RCU, Softirq.HI, Softirq.NET_RX):

        def action(_this, now_ns, number=number):
            ran.append((number, now_ns))
            return now_ns + 100

        softirqs.open_softirq(number, action)
        this.softirq_pending |= 1 << number

    softirqs.irq_exit(this, 10_000, INTERRUPT_NS)
    assert ran == [(Softirq.HI, 10_400), (Softirq.NET_RX, 10_900), (Softirq.RCU, 11_400)]
    assert this.softirq_end_ns == 11_500
    assert this.softirq_ns == 1_500
    assert this.softirq_pending == 0


def test_a_softirq_is_counted_once_however_often_it_was_raised(softirqs, this):
    this.softirq_pending |= 1 << Softirq.TASKLET
    this.softirq_pending |= 1 << Softirq.TASKLET
    softirqs.irq_exit(this, 10_000, INTERRUPT_NS)
    assert this.softirq_counts[Softirq.TASKLET] == 1


def test_one_that_is_always_pending_gets_ten_passes_and_then_another_run(timeline, softirqs, this):
    def always(this, now_ns):
        if this.softirq_counts[Softirq.SCHED] < 15:
            this.softirq_pending |= 1 << Softirq.SCHED
        return now_ns

    # A second softirq makes it a run of several passes rather than the short way for a lone one.
    softirqs.open_softirq(Softirq.SCHED, always)
    this.softirq_pending |= 1 << Softirq.SCHED | 1 << Softirq.HI
    softirqs.irq_exit(this, 10_000, INTERRUPT_NS)
    assert this.softirq_counts[Softirq.SCHED] == MAX_SOFTIRQ_RESTART == 10

    timeline.run(100_000, 1_000)
    assert this.softirq_counts[Softirq.SCHED] == 15


def test_softirqs_raised_by_a_process_run_within_a_nanosecond(timeline, softirqs, this):
    softirqs.raise_from_process(this, 1 << Softirq.TASKLET)
    assert this.softirq_counts[Softirq.TASKLET] == 0

    timeline.run(1, 1_000)
    assert this.softirq_counts[Softirq.TASKLET] == 1


def test_softirqs_that_had_to_wait_know_their_cpu():
    pc = new_pc(2)
    ran_on = []

    def action(_this, now_ns):
        ran_on.append(pc.kernel.this.cpu)
        return now_ns

    pc.kernel.softirqs.open_softirq(Softirq.TASKLET, action)
    pc.kernel.softirqs.raise_from_process(pc.kernel.cpus[1], 1 << Softirq.TASKLET)
    run_for(pc, 10)
    assert ran_on == [1]
    assert pc.kernel.this.cpu == 0


def always(pc, number, passes):
    """Let a softirq of CPU 0 be raised again until it has had so many passes."""

    def action(this, now_ns):
        if this.softirq_counts[number] < passes:
            this.softirq_pending |= 1 << number
        return now_ns

    pc.kernel.softirqs.open_softirq(number, action)


def leave_interrupt(pc, this):
    """An interrupt that began now is over on this CPU."""
    run_for(pc, INTERRUPT_NS)
    pc.kernel.softirqs.irq_exit(this, pc.kernel.timeline.now_ns, INTERRUPT_NS)


def threads(pc):
    return {thread.comm: thread for thread in pc.irqs.kthreads.by_pid.values()}


@pytest.mark.parametrize("others", [0, 1 << Softirq.HI])
def test_softirq_that_is_always_pending_gets_ten_passes_and_the_rest_in_ksoftirqd(others):
    pc = new_pc(2)
    always(pc, Softirq.SCHED, 11)
    this = pc.kernel.cpus[0]
    this.softirq_pending |= 1 << Softirq.SCHED | others
    leave_interrupt(pc, this)
    run_for(pc, 0 if others else 9 * SOFTIRQ_NS)  # one alone goes pass by pass
    assert this.softirq_counts[Softirq.SCHED] == MAX_SOFTIRQ_RESTART == 10
    assert list(threads(pc)) == ["ksoftirqd/0"]
    assert threads(pc)["ksoftirqd/0"].runs == 0

    run_for(pc, 10_000)
    assert this.softirq_counts[Softirq.SCHED] == 11
    assert threads(pc)["ksoftirqd/0"].runs > 0
    assert not this.softirq_pending


def test_softirq_that_ends_after_ten_passes_needs_no_thread():
    pc = new_pc(2)
    always(pc, Softirq.SCHED, 10)
    this = pc.kernel.cpus[0]
    this.softirq_pending |= 1 << Softirq.SCHED
    leave_interrupt(pc, this)
    run_for(pc, MS)
    assert this.softirq_counts[Softirq.SCHED] == 10
    assert not threads(pc)


def test_softirq_that_takes_two_milliseconds_leaves_the_rest_to_ksoftirqd():
    pc = new_pc(2)
    passes = []

    def slow(this, now_ns):
        passes.append(now_ns)
        if len(passes) < 4:
            this.softirq_pending |= 1 << Softirq.TASKLET
        return now_ns + 3 * MS

    pc.kernel.softirqs.open_softirq(Softirq.TASKLET, slow)
    this = pc.kernel.cpus[0]
    this.softirq_pending |= 1 << Softirq.TASKLET | 1 << Softirq.RCU
    leave_interrupt(pc, this)
    assert len(passes) == 2  # after 6 ms a jiffy of 4 ms is over, after 3 ms it is not
    run_for(pc, 20 * MS)
    assert len(passes) == 4
    assert "ksoftirqd/0" in threads(pc)


def test_softirq_raised_outside_of_interrupts_runs_in_ksoftirqd():
    pc = new_pc(2)
    always(pc, Softirq.TASKLET, 0)
    this = pc.kernel.cpus[1]
    pc.kernel.softirqs.raise_softirq(this, 1 << Softirq.TASKLET, in_interrupt=False)
    assert this.softirq_counts[Softirq.TASKLET] == 0
    run_for(pc, 10_000)
    assert this.softirq_counts[Softirq.TASKLET] == 1
    assert list(threads(pc)) == ["ksoftirqd/1"]


def test_interrupts_go_on_while_ksoftirqd_works():
    pc = new_pc(2)
    line = msix_line(pc)
    this = pc.kernel.cpus[line.cpu]
    always(pc, Softirq.SCHED, 200)
    this.softirq_pending |= 1 << Softirq.SCHED
    leave_interrupt(pc, this)
    line.fire(times=20)
    assert line.handled == 20
    run_for(pc, 10 * MS)
    assert this.softirq_counts[Softirq.SCHED] == 200
    assert not this.softirq_pending


@pytest.mark.parametrize("gates", [True, False])
def test_an_interrupt_during_a_softirq_is_handled_at_once_and_its_softirq_waits(gates):
    pc = new_pc(2, cost=CostModel(softirq_ns=100_000), gates=gates)
    line = msix_line(pc)

    def raise_block():
        pc.kernel.this.softirq_pending |= 1 << Softirq.BLOCK
        return 1

    line.on_interrupt = raise_block
    this = pc.kernel.cpus[line.cpu]
    line.signal()
    assert this.softirq_counts[Softirq.BLOCK] == 1
    assert this.softirq_end_ns == INTERRUPT_NS + 100_000

    run_for(pc, 50_000)
    line.signal()
    assert line.handled == 2
    assert this.softirq_counts[Softirq.BLOCK] == 1
    assert this.softirq_end_ns == 2 * INTERRUPT_NS + 100_000

    run_for(pc, 50_000 + 2 * INTERRUPT_NS)
    assert this.softirq_counts[Softirq.BLOCK] == 2
    assert this.softirq_ns == 200_000


def test_what_several_interrupts_raise_during_a_softirq_runs_once():
    pc = new_pc(1, cost=CostModel(softirq_ns=100_000))
    line = msix_line(pc)
    this = pc.kernel.cpus[0]

    def raise_block():
        this.softirq_pending |= 1 << Softirq.BLOCK
        return 1

    line.on_interrupt = raise_block
    line.fire(4)
    run_for(pc, 1_000_000)
    assert line.handled == 4
    assert this.softirq_counts[Softirq.BLOCK] == 2
