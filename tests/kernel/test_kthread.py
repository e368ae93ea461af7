"""Kernel threads come and go."""

from pseudokern.kernel.kthread import KEvent, sleep_ns
from tests.machine_parts import new_pc, run_for

SOURCES = 1 << 16  # of a timeline


def test_more_threads_come_and_go_than_a_timeline_has_sources():
    pc = new_pc(1)
    threads = pc.irqs.kthreads

    async def short():
        await sleep_ns(1_000)

    for _ in range(SOURCES // 64 + 1):
        for _ in range(64):
            threads.create("short", short())
        run_for(pc, 10_000)
    assert threads.created > SOURCES
    assert threads.by_pid == {}


def test_a_thread_that_has_ended_is_not_woken_in_place_of_another():
    pc = new_pc(1)
    event, ran = KEvent(), []

    async def waits():
        await event

    async def sleeps():
        await sleep_ns(1_000_000)
        ran.append(pc.kernel.timeline.now_ns)

    old = pc.irqs.kthreads.create("old", waits())
    run_for(pc, 10_000)
    old.stop()
    pc.irqs.kthreads.create("new", sleeps())
    run_for(pc, 10_000)
    old.wake()
    event.set()
    run_for(pc, 10_000)
    assert ran == []

    run_for(pc, 2_000_000)
    assert len(ran) == 1
