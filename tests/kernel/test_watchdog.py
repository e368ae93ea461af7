"""CPUs that are stuck are found: by what really happens on them."""

import re

import pytest

from pseudokern.irq.flags import IrqReturn
from pseudokern.kernel.context import local_irq_disable, preempt_disable
from pseudokern.kernel.delay import mdelay
from pseudokern.kernel.kthread import Compute, sleep_ns
from pseudokern.kernel.panic import KernelPanicError
from pseudokern.kernel.spinlock import SpinLock
from pseudokern.kernel.timer import Timer
from pseudokern.kernel.watchdog import Watchdog
from pseudokern.sim.alarm import Alarm
from pseudokern.sim.timeline import FOREVER_NS
from pseudokern.x86.nmi import NmiType
from tests.machine_parts import MS, log_of, msix_line, new_pc, run_for

S = 1_000 * MS


class Watched:
    """A PC with both detectors, whose looks an alarm drives as the machine does."""

    def __init__(self, *, has_counter=True):
        self.pc = new_pc(4)
        self.kernel = self.pc.kernel
        self.watchdog = Watchdog(
            self.kernel,
            self.pc.cpus,
            self.pc.fold_counts,
            has_counter=has_counter,
            soft=True,
            hard=True,
            thresh_s=10,
            cpumask=0xF,
            began_ns=0,
        )
        self.pc.entry.nmis.register(NmiType.LOCAL, "perf", self.watchdog.perf_event)
        self.alarm = Alarm(self.kernel.timeline, self.look)
        self.alarm.set(self.watchdog.period_ns)

    def look(self):
        self.alarm.set(self.watchdog.look())

    def thread(self, body, cpu=2):
        return self.pc.irqs.kthreads.create("worker", body, cpus_allowed=1 << cpu)

    def run_s(self, seconds):
        run_for(self.pc, seconds * S)

    def found(self, word):
        """Lines about lockups, without offsets."""
        lines = [re.sub(r"\+0x[0-9a-f]+/0x[0-9a-f]+", "", line) for line in log_of(self.pc)]
        return [line for line in lines if word in line]

    def nmis(self):
        return [(this.counts.nmi, this.counts.performance) for this in self.kernel.cpus]


@pytest.fixture
def machine():
    return Watched()


async def spin():
    while True:
        await Compute(500 * MS)


def test_a_thread_that_never_sleeps_is_a_soft_lockup_after_more_than_20_seconds(machine):
    machine.run_s(5)
    worker = machine.thread(spin())
    machine.run_s(18)
    assert machine.found("lockup") == []

    machine.run_s(6)
    assert machine.found("lockup") == [
        f"watchdog: BUG: soft lockup - CPU#2 stuck for 23s! [worker:{worker.pid}]"
    ]
    assert f"CPU: 2 UID: 0 PID: {worker.pid} Comm: worker Not tainted 6.12.0 #1" in log_of(
        machine.pc
    )
    assert machine.found("RIP") == ["RIP: 0010:spin"]
    assert machine.kernel.taint == {"L"}


def test_a_soft_lockup_is_reported_again_as_long_as_it_lasts(machine):
    machine.thread(spin())
    machine.run_s(60)
    stuck = [int(re.search(r"for ([0-9]+)s", line)[1]) for line in machine.found("soft lockup")]
    assert len(stuck) == 2
    assert 20 < stuck[0] < 27 < 40 < stuck[1] < 52


def test_a_thread_that_sleeps_now_and_then_is_none(machine):
    async def body():
        while True:
            await Compute(15 * S)
            await sleep_ns(MS)

    machine.thread(body())
    machine.run_s(60)
    assert machine.found("lockup") == []


def test_a_thread_that_delays_for_long_at_once_is_one_too(machine):
    async def body():
        mdelay(machine.kernel, 30_000)

    machine.thread(body())
    machine.run_s(60)
    assert len(machine.found("soft lockup")) == 1


def test_a_timer_callback_without_end_starves_the_threads_of_its_cpu(machine):
    timer = Timer(lambda: mdelay(machine.kernel, 40_000))
    machine.pc.timers.mod_timer(timer, 1, 3)
    machine.run_s(40)
    assert machine.found("soft lockup - CPU#3")
    assert machine.found("LOCKUP") == []


def test_a_handler_that_hangs_is_a_hard_lockup_that_an_nmi_finds(machine):
    line = msix_line(machine.pc)
    line.on_interrupt = lambda: (mdelay(machine.kernel, 60_000), IrqReturn.HANDLED)[1]
    machine.run_s(5)
    line.signal()
    machine.run_s(9)
    assert machine.found("LOCKUP") == []

    machine.run_s(25)
    cpu = line.cpu
    assert machine.found("LOCKUP") == [
        f"watchdog: CPU{cpu}: Watchdog detected hard LOCKUP on cpu {cpu}"
    ]
    assert machine.found("RIP") == ["RIP: 0010:delay_tsc"]
    counted = machine.nmis()
    assert counted[cpu][0] == counted[cpu][1] >= 2
    assert [pair for number, pair in enumerate(counted) if number != cpu] == [(0, 0)] * 3


def test_a_hard_lockup_is_reported_once_until_the_cpu_is_well_again(machine):
    line = msix_line(machine.pc)
    line.on_interrupt = lambda: (mdelay(machine.kernel, 60_000), IrqReturn.HANDLED)[1]
    line.signal()
    machine.run_s(100)
    assert len(machine.found("LOCKUP")) == 1


def test_without_a_counter_there_is_no_hard_lockup_but_a_soft_one_when_it_is_over():
    machine = Watched(has_counter=False)
    line = msix_line(machine.pc)
    line.on_interrupt = lambda: (mdelay(machine.kernel, 30_000), IrqReturn.HANDLED)[1]
    machine.run_s(5)
    line.signal()
    machine.run_s(29)
    assert machine.found("ock") == []
    machine.run_s(10)
    assert machine.found("LOCKUP") == []
    assert re.search(r"soft lockup - CPU#1 stuck for (2[7-9]|3[0-2])s", machine.found("lockup")[0])
    assert machine.nmis() == [(0, 0)] * 4


def test_a_thread_that_computes_with_interrupts_off_is_a_hard_lockup(machine):
    async def body():
        local_irq_disable(machine.kernel)
        await Compute(60 * S)

    machine.thread(body())
    machine.run_s(40)
    assert len(machine.found("LOCKUP on cpu 2")) == 1


def test_a_deadlock_in_a_handler_is_found(machine):
    lock, line = SpinLock(machine.kernel, "card"), msix_line(machine.pc)
    line.on_interrupt = lambda: (lock.lock(), IrqReturn.HANDLED)[1]
    machine.kernel.this = machine.kernel.cpus[line.cpu]
    lock.lock()
    with pytest.raises(BaseException, match="spins on card"):
        line.fire()
    machine.run_s(50)
    assert len(machine.found(f"LOCKUP on cpu {line.cpu}")) == 1
    assert machine.found("RIP") == ["RIP: 0010:native_queued_spin_lock_slowpath"]


def test_a_storm_that_takes_all_of_a_cpu_is_a_soft_lockup():
    machine = Watched()
    line = msix_line(machine.pc)
    machine.kernel.cpus[line.cpu].current = None

    def again():
        # Long, so that the test is short: 2 ms each, and the next one is there already.
        mdelay(machine.kernel, 2)
        line.signal()
        return IrqReturn.HANDLED

    line.on_interrupt = again
    line.signal()
    machine.run_s(30)
    (text,) = machine.found("lockup")
    assert re.fullmatch(
        r"watchdog: BUG: soft lockup - CPU#1 stuck for 2[0-9]s! \[swapper/1:0\]", text
    )
    assert machine.found("LOCKUP") == []


@pytest.mark.parametrize(("kind", "text"), [("soft", "softlockup: hung tasks"), ("hard", "Hard")])
def test_a_lockup_is_the_end_if_it_shall_be(machine, kind, text):
    setattr(machine.watchdog, f"{kind}lockup_panic", 1)

    async def body():
        if kind == "hard":
            local_irq_disable(machine.kernel)
        preempt_disable(machine.kernel)
        await Compute(60 * S)

    machine.thread(body())
    with pytest.raises(KernelPanicError, match=text):
        machine.run_s(60)


def test_a_busy_cpu_makes_an_nmi_for_every_ten_seconds_that_it_was_not_idle(machine):
    this = machine.kernel.cpus[1]
    for _ in range(100):
        this.user_ns += 500 * MS  # half of each second
        machine.run_s(1)
    assert machine.nmis()[1] in ((4, 4), (5, 5))
    assert machine.nmis()[0] == (0, 0)
    assert machine.found("ock") == []


def test_a_cpu_that_is_busy_just_when_somebody_looks_is_not_taken_for_a_busy_one(machine):
    line = msix_line(machine.pc)
    line.on_interrupt = lambda: (mdelay(machine.kernel, 2), IrqReturn.HANDLED)[1]
    for _ in range(12):
        run_for(machine.pc, 4 * S - MS)
        line.signal()
        run_for(machine.pc, MS)
    assert machine.nmis() == [(0, 0)] * 4


def test_an_nmi_that_the_counter_did_not_make_is_still_unknown(machine):
    machine.pc.cpus[1].nmi()
    assert machine.found("Uhhuh") != []
    assert machine.nmis()[1] == (1, 0)


def test_cpus_that_are_not_watched_and_detectors_that_are_off_find_nothing(machine):
    machine.watchdog.cpumask = 0b1011
    machine.thread(spin())
    machine.run_s(40)
    assert machine.found("lockup") == []

    machine.watchdog.cpumask = 0xF
    machine.watchdog.thresh_s = 0
    assert machine.watchdog.restart() == FOREVER_NS
    assert machine.watchdog.look() == FOREVER_NS


def test_a_shorter_threshold_finds_sooner(machine):
    machine.watchdog.thresh_s = 1
    machine.alarm.set(machine.watchdog.restart())
    machine.thread(spin())
    machine.run_s(4)
    assert len(machine.found("soft lockup")) == 1
