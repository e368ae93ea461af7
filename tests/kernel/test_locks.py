"""Locks keep others out, and break no rule unnoticed; memory may be refused."""

import re

import pytest

from pseudokern.irq.flags import IrqReturn
from pseudokern.kernel.context import in_atomic, irqs_disabled, local_irq_disable, preempt_count
from pseudokern.kernel.delay import mdelay, udelay
from pseudokern.kernel.kthread import Compute, sleep_ns
from pseudokern.kernel.mutex import Mutex
from pseudokern.kernel.panic import CpuHangsError
from pseudokern.kernel.slab import GFP_ATOMIC, GFP_KERNEL, Gfp, kmalloc
from pseudokern.kernel.spinlock import SpinLock
from pseudokern.kernel.timer import Timer
from tests.machine_parts import MS, log_of, msix_line, new_pc, run_for


@pytest.fixture
def pc():
    return new_pc(4)


def plain(pc):
    return [re.sub(r"\+0x[0-9a-f]+/0x[0-9a-f]+", "", line) for line in log_of(pc)]


def in_handler(pc, action):
    line = msix_line(pc, slot=2 + len(pc.pci.functions))
    answers = []
    line.on_interrupt = lambda: (answers.append(action()), IrqReturn.HANDLED)[1]
    line.fire()
    return answers[0]


def create(pc, body, cpu=0, name="worker"):
    return pc.irqs.kthreads.create(name, body, cpus_allowed=1 << cpu)


# -- mutexes ----------------------------------------------------------------------------------


def test_threads_get_a_mutex_in_the_order_in_which_they_asked(pc):
    mutex, order = Mutex(pc.kernel), []

    async def body(name):
        await mutex.lock()
        order.append(f"{name} in")
        await sleep_ns(MS)
        order.append(f"{name} out")
        mutex.unlock()

    for number in range(3):
        create(pc, body(number))
    run_for(pc, 10 * MS)
    assert order == ["0 in", "0 out", "1 in", "1 out", "2 in", "2 out"]
    assert not mutex.is_locked


def test_a_mutex_in_a_handler_is_reported_and_taken_if_it_is_free(pc):
    mutex = Mutex(pc.kernel)
    in_handler(pc, mutex.lock)
    text = "BUG: sleeping function called from invalid context at kernel/locking/mutex.c:283"
    assert text in log_of(pc)
    assert mutex.is_locked


def test_a_handler_that_would_wait_for_a_mutex_is_scheduling_while_atomic(pc):
    mutex = Mutex(pc.kernel)
    mutex.trylock()
    in_handler(pc, mutex.lock)
    assert any(line.startswith("BUG: scheduling while atomic: swapper/") for line in log_of(pc))


# -- spinlocks --------------------------------------------------------------------------------


def test_code_with_a_spinlock_is_atomic(pc):
    lock = SpinLock(pc.kernel, "card")
    lock.lock()
    assert (in_atomic(pc.kernel), lock.is_locked, preempt_count(pc.kernel)) == (True, True, 1)
    lock.unlock()
    assert (in_atomic(pc.kernel), lock.is_locked) == (False, False)


def test_the_irqsave_form_keeps_interrupts_off_as_long_and_no_longer(pc):
    lock = SpinLock(pc.kernel, "card")
    flags = lock.lock_irqsave()
    assert irqs_disabled(pc.kernel)
    lock.unlock_irqrestore(flags)
    assert not irqs_disabled(pc.kernel)


def test_a_lock_of_a_handler_that_a_thread_takes_with_interrupts_on_is_reported_once(pc):
    lock = SpinLock(pc.kernel, "card")
    in_handler(pc, lambda: (lock.lock(), lock.unlock()))
    assert "WARNING: inconsistent lock state" not in log_of(pc)

    async def body():
        for _ in range(2):
            lock.lock()
            lock.unlock()

    thread = create(pc, body())
    run_for(pc, MS)
    lines = plain(pc)
    start = lines.index("WARNING: inconsistent lock state")
    assert lines[start + 3 : start + 5] == [
        "inconsistent {IN-HARDIRQ-W} -> {HARDIRQ-ON-W} usage.",
        f"worker/{thread.pid} [HC0[0]:SC0[0]:HE1:SE1] takes:",
    ]
    assert re.fullmatch(
        r"ffff8881[0-9a-f]{8} \(&card\)\{\?\.-\.\}-\{2:2\}, at: .*", lines[start + 5]
    )
    assert " *** DEADLOCK ***" in lines
    assert lines.count("WARNING: inconsistent lock state") == 1


def test_the_same_lock_with_interrupts_off_is_all_right(pc):
    lock = SpinLock(pc.kernel, "card")
    in_handler(pc, lambda: (lock.lock(), lock.unlock()))
    lock.unlock_irqrestore(lock.lock_irqsave())
    assert pc.kernel.lockdep


def test_a_lock_of_a_timer_callback_must_be_taken_with_bottom_halves_off(pc):
    lock = SpinLock(pc.kernel, "card")
    timer = Timer(lambda: (lock.lock(), lock.unlock()))
    pc.timers.mod_timer(timer, 2, 0)
    run_for(pc, 20 * MS)
    lock.lock()
    assert "inconsistent {IN-SOFTIRQ-W} -> {SOFTIRQ-ON-W} usage." in log_of(pc)


def test_a_handler_that_takes_the_lock_of_what_it_interrupted_spins_for_ever(pc):
    lock, line = SpinLock(pc.kernel, "card"), msix_line(pc)
    other = msix_line(pc, slot=5)
    line.on_interrupt = lambda: (lock.lock(), IrqReturn.HANDLED)[1]
    pc.kernel.this = pc.kernel.cpus[line.cpu]
    lock.lock()
    with pytest.raises(CpuHangsError):
        line.fire()
    lines = log_of(pc)
    assert any(text.startswith(f"BUG: spinlock recursion on CPU#{line.cpu}") for text in lines)

    assert other.cpu != line.cpu
    line.on_interrupt = lambda: IrqReturn.HANDLED
    line.fire()
    other.fire()
    assert (line.handled, other.handled) == (1, 1)


# -- memory -----------------------------------------------------------------------------------


def test_memory_may_be_had_in_a_handler_if_it_does_not_sleep(pc):
    assert in_handler(pc, lambda: kmalloc(pc.kernel, 64, GFP_ATOMIC)) == bytearray(64)
    assert not any("BUG" in line for line in log_of(pc))


def test_memory_that_may_sleep_is_reported_in_a_handler_and_given(pc):
    assert in_handler(pc, lambda: kmalloc(pc.kernel, 64, GFP_KERNEL)) == bytearray(64)
    text = "BUG: sleeping function called from invalid context at include/linux/sched/mm.h:337"
    assert text in log_of(pc)


def test_atomic_allocations_fail_as_often_as_the_fault_says(pc):
    pc.kernel.atomic_failures = 2
    got = [in_handler(pc, lambda: kmalloc(pc.kernel, 9_000, GFP_ATOMIC)) for _ in range(3)]
    assert [memory is None for memory in got] == [True, True, False]
    failures = [line for line in log_of(pc) if "page allocation failure" in line]
    assert len(failures) == 1
    assert re.fullmatch(
        r"swapper/[0-9]: page allocation failure: order:2, mode:0x820\(GFP_ATOMIC\),"
        r" nodemask=\(null\),cpuset=/,mems_allowed=0",
        failures[0],
    )


def test_failures_are_reported_every_ten_seconds_unless_nobody_wants_to_know(pc):
    pc.kernel.atomic_failures = 4
    kmalloc(pc.kernel, 1, GFP_ATOMIC | Gfp.NOWARN)
    assert not log_of(pc)[3:]
    kmalloc(pc.kernel, 1, GFP_ATOMIC)
    run_for(pc, 10_000 * MS)
    kmalloc(pc.kernel, 1, GFP_ATOMIC)
    run_for(pc, 1)
    kmalloc(pc.kernel, 1, GFP_ATOMIC)
    assert sum("page allocation failure" in line for line in log_of(pc)) == 2


def test_linux_6_1_has_a_bit_of_its_own_for_atomic(pc):
    pc.kernel.release, pc.kernel.atomic_failures = "6.1.0", 1
    kmalloc(pc.kernel, 1, GFP_ATOMIC)
    assert any("mode:0xa20(GFP_ATOMIC)" in line for line in log_of(pc))


# -- delays -----------------------------------------------------------------------------------


def test_a_handler_that_delays_keeps_its_cpu_busy_as_long(pc):
    line = msix_line(pc)
    line.on_interrupt = lambda: (udelay(pc.kernel, 500), IrqReturn.HANDLED)[1]
    line.signal()
    run_for(pc, 400_000)
    line.signal()
    assert line.handled == 1
    run_for(pc, 200_000)
    assert line.handled == 2


def test_a_thread_that_delays_waits_so_much_later(pc):
    woken = []

    async def body():
        mdelay(pc.kernel, 5)
        await sleep_ns(MS)
        woken.append(pc.kernel.timeline.now_ns // MS)

    thread = create(pc, body())
    run_for(pc, 3 * MS)
    assert thread.state == "R"
    run_for(pc, 20 * MS)
    assert woken == [6]


def test_a_thread_that_computes_keeps_others_off_its_cpu(pc):
    order = []

    async def hog():
        for _ in range(3):
            await Compute(2 * MS)
        order.append("hog")
        await sleep_ns(MS)

    async def other():
        order.append("other")

    create(pc, hog(), name="hog")
    run_for(pc, MS)
    create(pc, other())
    run_for(pc, 20 * MS)
    assert order == ["hog", "other"]
    assert (pc.kernel.hogs, pc.kernel.cpus[0].current) == ({}, None)


def test_a_thread_that_is_stopped_while_it_computes_leaves_its_cpu_to_others(pc):
    ran = []

    async def hog():
        while True:
            await Compute(2 * MS)

    async def other():
        ran.append(pc.kernel.this.cpu)

    thread = create(pc, hog(), name="hog")
    run_for(pc, MS)
    thread.stop()
    create(pc, other())
    run_for(pc, MS)
    assert (ran, pc.kernel.hogs, pc.kernel.cpus[0].current) == ([0], {}, None)


def test_an_event_that_comes_while_a_thread_computes_is_not_lost(pc):
    from pseudokern.kernel.kthread import KEvent

    event, seen = KEvent(), []

    async def body():
        mdelay(pc.kernel, 5)
        await event
        seen.append(pc.kernel.timeline.now_ns)

    create(pc, body())
    run_for(pc, MS)
    event.set()
    run_for(pc, 10 * MS)
    assert len(seen) == 1


def test_a_timer_callback_that_delays_makes_its_softirq_longer(pc):
    timer = Timer(lambda: udelay(pc.kernel, 300))
    pc.timers.mod_timer(timer, 2, 0)
    run_for(pc, 20 * MS)
    assert pc.kernel.cpus[0].softirq_ns > 300_000


def test_interrupts_are_off_while_a_thread_computes_with_them_off(pc):
    line = msix_line(pc)

    async def body():
        local_irq_disable(pc.kernel)
        await Compute(2 * MS)

    create(pc, body(), cpu=line.cpu)
    run_for(pc, MS)
    line.signal()
    assert line.handled == 0
    run_for(pc, 5 * MS)
    assert line.handled == 1
