"""Kernel threads compete with programs for the CPUs, on machines that have both."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pseudokern.drivers.nic import Nic
from pseudokern.irq.flags import Irqf, IrqReturn
from pseudokern.irq.manage import irq_set_affinity
from pseudokern.irq.request import request_irq
from pseudokern.kernel.kthread import Compute, KEvent, Policy, sleep_ns
from pseudokern.kernel.kthread_task import let_threads_compete
from pseudokern.kernel.sched import Scheduler
from pseudokern.kernel.sched_task import SchedTask
from tests.drivers.plugging import at_once, plugged
from tests.machine_parts import MS, msix_lines, new_pc, run_for

SECOND_NS = 1_000_000_000
US = 1_000


class Busy(SchedTask):
    """A program that never sleeps."""

    def step(self):
        self.compute(user_ns=100_000)


@pytest.fixture
def pc():
    pc = new_pc(2)
    pc.kernel.sched = Scheduler(pc.kernel, pc.smp.send_reschedule, pc.apic_timers.ticks.leave_idle)
    let_threads_compete(pc.irqs.kthreads, pc.kernel.sched)
    return pc


def program(pc, cpus=0b10, policy=Policy.OTHER, priority=0):
    task = Busy(pc.irqs.kthreads.take_pid(), "program", cpus, pc.kernel.timeline.now_ns)
    pc.kernel.sched.set_scheduler(task, policy, rt_priority=priority)
    pc.kernel.sched.start(task)
    return task


def used_ns(pc, task):
    pc.kernel.sched.update()
    return task.utime_ns + task.stime_ns


def computing(pc, piece_ns=20 * US, cpus=0b10, **options):
    """A thread that always computes, and lets others run after each piece."""

    async def body():
        while True:
            await Compute(piece_ns)

    return pc.irqs.kthreads.create("worker", body(), cpus_allowed=cpus, **options)


def test_a_thread_and_a_program_have_half_of_a_cpu_each(pc):
    thread, other = computing(pc), program(pc)
    run_for(pc, SECOND_NS)
    assert used_ns(pc, other) == pytest.approx(SECOND_NS / 2, rel=0.05)
    assert used_ns(pc, thread.task) == pytest.approx(SECOND_NS / 2, rel=0.05)


def test_what_a_thread_computes_between_waits_is_not_interrupted_by_programs(pc):
    program(pc)
    thread = computing(pc, piece_ns=30 * MS)
    ends = []
    thread.task.preempted = lambda: ends.append(thread.task.left_ns)
    run_for(pc, SECOND_NS)
    assert len(ends) > 5
    assert not any(ends)


def test_threaded_napi_takes_turns_with_a_program_under_any_load(pc):
    card = at_once(plugged(pc, Nic, "eth0", rate="8 MHz", affinity=["1"]))
    card.napi.threaded = True
    card.napi.apply()
    (thread,) = [t for t in pc.irqs.kthreads.by_pid.values() if t.comm.startswith("napi/")]
    thread.cpus_allowed = 0b10
    other = program(pc)
    run_for(pc, SECOND_NS)
    assert used_ns(pc, other) == pytest.approx(SECOND_NS / 2, rel=0.1)


def threaded_line(pc, ran_ns):
    """A line on CPU 1 whose thread notes how long after the interrupt it runs."""
    (line,) = msix_lines(pc, 1)

    def thread_function():
        ran_ns.append(pc.kernel.timeline.now_ns - line.signalled_ns)
        return IrqReturn.HANDLED

    request_irq(pc.irqs, line.irq, None, Irqf.ONESHOT, "test", line, thread_fn=thread_function)
    irq_set_affinity(line.desc, 0b10)
    signal(pc, line)
    run_for(pc, 10 * MS)
    ran_ns.clear()
    return line


def signal(pc, line):
    line.signalled_ns = pc.kernel.timeline.now_ns
    line.signal()


def test_the_thread_of_an_interrupt_preempts_a_program_at_once(pc):
    ran_ns = []
    line = threaded_line(pc, ran_ns)
    program(pc)
    run_for(pc, 10 * MS)
    for _ in range(20):
        signal(pc, line)
        run_for(pc, 10 * MS)
    assert len(ran_ns) == 20
    assert max(ran_ns) < 10 * US


def test_the_thread_of_an_interrupt_waits_for_a_program_of_higher_priority(pc):
    """Which is why people who have such programs raise the priority of threads with chrt."""
    ran_ns = []
    line = threaded_line(pc, ran_ns)
    busy = program(pc, policy=Policy.FIFO, priority=80)
    run_for(pc, 10 * MS)
    signal(pc, line)
    run_for(pc, 100 * MS)
    assert ran_ns == []
    pc.kernel.sched.stop(busy)
    run_for(pc, MS)
    assert ran_ns[0] == pytest.approx(100 * MS, rel=0.01)


def test_the_thread_of_an_interrupt_preempts_a_program_of_lower_priority(pc):
    ran_ns = []
    line = threaded_line(pc, ran_ns)
    program(pc, policy=Policy.FIFO, priority=49)
    run_for(pc, 10 * MS)
    signal(pc, line)
    run_for(pc, MS)
    assert ran_ns[0] < 10 * US


def test_a_thread_that_fails_leaves_its_cpu_to_others(pc):
    async def body():
        await sleep_ns(MS)
        raise ValueError("a bug")

    pc.irqs.kthreads.create("buggy", body(), cpus_allowed=0b10)
    other = program(pc)
    with pytest.raises(ValueError, match="a bug"):
        run_for(pc, 10 * MS)
    run_for(pc, 10 * MS)
    before_ns = used_ns(pc, other)
    run_for(pc, 10 * MS)
    assert used_ns(pc, other) - before_ns == pytest.approx(10 * MS, rel=0.01)


def test_threads_that_were_there_before_the_scheduler_compete_from_then_on():
    pc = new_pc(2)
    event, ran_ns = KEvent(), []

    async def body():
        while True:
            await event
            ran_ns.append(pc.kernel.timeline.now_ns)
            await Compute(MS)

    thread = pc.irqs.kthreads.create("early", body(), cpus_allowed=0b10)
    run_for(pc, MS)
    pc.kernel.sched = Scheduler(pc.kernel, pc.smp.send_reschedule, pc.apic_timers.ticks.leave_idle)
    let_threads_compete(pc.irqs.kthreads, pc.kernel.sched)
    event.set()
    run_for(pc, 10 * MS)
    assert len(ran_ns) == 1
    assert used_ns(pc, thread.task) == pytest.approx(MS, rel=0.01)
    assert thread.state == thread.task.state == "S"


@pytest.mark.parametrize("runnable", [True, False])
def test_a_thread_that_is_stopped_is_gone_from_its_queue(pc, runnable):
    program(pc)

    async def body():
        await sleep_ns(SECOND_NS if not runnable else 0)
        await Compute(MS)

    thread = pc.irqs.kthreads.create("short", body(), cpus_allowed=0b10)
    run_for(pc, 5 * MS)
    before = pc.kernel.sched.running
    thread.stop()
    assert thread.state == thread.task.state == "X"
    assert pc.kernel.sched.running <= before
    run_for(pc, 10 * MS)
    assert pc.kernel.sched.running == 1
    assert not pc.irqs.kthreads.by_pid


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 3),  # CPUs
            st.sampled_from([Policy.OTHER, Policy.FIFO]),
            st.integers(1, 200),  # us to compute
            st.integers(0, 300),  # us to sleep
        ),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 3),
)
def test_time_of_all_tasks_is_the_time_of_the_cpus(threads, programs):
    pc = new_pc(2)
    pc.kernel.sched = Scheduler(pc.kernel, pc.smp.send_reschedule, pc.apic_timers.ticks.leave_idle)
    let_threads_compete(pc.irqs.kthreads, pc.kernel.sched)

    async def body(compute_us, sleep_us):
        while True:
            await Compute(compute_us * US)
            await sleep_ns(sleep_us * US)

    made = [
        pc.irqs.kthreads.create("thread", body(*times), cpus_allowed=mask, policy=policy,
                                rt_priority=50 if policy is Policy.FIFO else 0)
        for mask, policy, *times in threads
    ]  # fmt: skip
    tasks = [*[thread.task for thread in made], *[program(pc, 0b11) for _ in range(programs)]]
    run_for(pc, 100 * MS)
    pc.fold_counts()
    charged_ns = sum(used_ns(pc, task) for task in tasks)
    assert charged_ns == sum(this.system_ns + this.user_ns for this in pc.kernel.cpus)
    for this in pc.kernel.cpus:
        spent_ns = this.system_ns + this.user_ns + this.hardirq_ns + this.softirq_ns
        assert spent_ns <= pc.kernel.timeline.now_ns + 100 * US
