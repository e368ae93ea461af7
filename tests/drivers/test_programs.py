"""Ordinary programs make CPUs busy, and with that tick and interrupt each other."""

import pytest

from pseudokern.drivers.nic import Nic
from pseudokern.drivers.programs import Programs
from pseudokern.kernel.cputime import unclaimed
from tests.drivers.plugging import at_once, plugged
from tests.machine_parts import HZ, new_pc, run_for

SECOND_NS = 1_000_000_000


def machine(**load):
    pc = new_pc(4)
    defaults = {"user": 0.0, "burst_ns": 3_000_000, "wakeups": 0.0, "tlb_hz": 0.0, "call_hz": 0.0}
    Programs(pc, **{**defaults, **load})
    return pc


def total(pc, row):
    return sum(getattr(this.counts, row) for this in pc.kernel.cpus)


def test_idle_cpus_tick_about_once_a_second():
    pc = machine()
    run_for(pc, 10 * SECOND_NS)
    for this in pc.kernel.cpus:
        assert 9 <= this.counts.apic_timer <= 12


def test_busy_cpus_tick_nearly_hz_times_a_second():
    pc = machine(user=0.95, burst_ns=1_000_000_000)
    run_for(pc, 10 * SECOND_NS)
    for this in pc.kernel.cpus:
        assert 0.5 * HZ * 10 < this.counts.apic_timer <= HZ * 10 + 1


def test_programs_use_their_share_of_the_cpus():
    pc = machine(user=0.25)
    run_for(pc, 10 * SECOND_NS)
    used_ns = sum(this.user_ns for this in pc.kernel.cpus)
    assert used_ns / (4 * 10 * SECOND_NS) == pytest.approx(0.25, rel=0.1)


def test_programs_that_others_wake_are_reschedules():
    pc = machine(user=0.25, wakeups=0.5)
    run_for(pc, 5 * SECOND_NS)
    switches = sum(this.context_switches for this in pc.kernel.cpus)
    assert total(pc, "reschedule") == pytest.approx(switches / 4, rel=0.1)


def test_without_wakeups_nobody_is_rescheduled():
    pc = machine(user=0.25)
    run_for(pc, SECOND_NS)
    assert total(pc, "reschedule") == 0


def test_shootdowns_are_calls_too():
    pc = machine(tlb_hz=100.0)
    run_for(pc, 5 * SECOND_NS)
    assert total(pc, "tlb") == pytest.approx(500, rel=0.2)
    assert total(pc, "call_function") == total(pc, "tlb")


def test_calls_are_not_shootdowns():
    pc = machine(call_hz=100.0)
    run_for(pc, 5 * SECOND_NS)
    assert total(pc, "call_function") == pytest.approx(500, rel=0.2)
    assert total(pc, "tlb") == 0


def test_what_interrupts_take_of_a_program_is_not_user_time():
    pc = machine(user=0.999, burst_ns=1_000_000_000)
    busy = at_once(plugged(pc, Nic, "eth0", rate="100 kHz", affinity=["1"]))
    run_for(pc, 2 * SECOND_NS)
    pc.fold_counts()
    this = pc.kernel.cpus[1]
    assert busy.queues[0].packets > 190_000
    interrupts_ns = this.hardirq_ns + this.softirq_ns
    assert interrupts_ns > 0.2 * 2 * SECOND_NS
    unclaimed_ns, _ = unclaimed(pc.kernel, this)
    programs_ns = this.user_ns + unclaimed_ns - this.idle_ns
    assert programs_ns == pytest.approx(2 * SECOND_NS - interrupts_ns, rel=0.01)
