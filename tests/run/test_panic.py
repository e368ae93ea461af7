"""After a panic time stands still, and the files can be read."""

import errno

import pytest
import trio

from pseudokern.fs.attributes import Caller
from pseudokern.fs.tree import Tree
from pseudokern.kernel.panic import panic
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from pseudokern.run.pacer import Pacer
from pseudokern.sim.alarm import Alarm

PATIENCE_S = 20
ROOT = Caller(uid=0, gid=0, pid=1)
KLOG = "/sys/kernel/debug/pseudokern/klog"


@pytest.fixture
def panicked():
    """A machine that has panicked 5 us after its boot, and a waiter for the second after it."""
    machine = Machine(load("q4"), 1)
    machine.clock.set_mode("free")
    alarm = Alarm(machine.timeline, lambda: panic(machine.kernel, "enough"))
    alarm.set(machine.timeline.now_ns + 5_000)
    machine.waiter = machine.clock.advance(1_000_000_000)
    machine.should_end_ns = machine.timeline.now_ns + 5_000
    pacer = Pacer(machine, lambda: 0)

    async def main():
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pacer.run)
                await pacer.ended.wait()
                nursery.cancel_scope.cancel()

    trio.run(main)
    return machine


def test_time_stands_still_after_a_panic(panicked):
    assert panicked.timeline.now_ns == panicked.should_end_ns


def test_who_waited_for_a_later_time_gets_an_error(panicked):
    assert panicked.waiter.error.errno == errno.EIO


def test_files_can_be_read_and_only_halt_can_be_written(panicked):
    tree = Tree(panicked)
    text = tree.open(KLOG, 0, ROOT).read(1_000_000, 0)
    assert text.splitlines()[-1].endswith(b"Rebooting in 1 seconds..")
    with pytest.raises(OSError, match="panicked") as refused:
        tree.open("/proc/irq/4/smp_affinity", 1, ROOT).write(b"1", 0)
    assert refused.value.errno == errno.EIO

    tree.open("/sys/kernel/debug/pseudokern/halt", 1, ROOT).write(b"1", 0)
    assert panicked.halting.done
