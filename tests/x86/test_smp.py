"""Inter-processor interrupts are counted where they arrive: RES, CAL, TLB."""

import pytest

from tests.machine_parts import log_of, new_pc, run_for


def counts(pc, row):
    return [getattr(this.counts, row) for this in pc.kernel.cpus]


def test_a_reschedule_is_counted_on_the_cpu_that_gets_it(pc):
    pc.smp.send_reschedule(2)
    assert counts(pc, "reschedule") == [0, 0, 0, 0]

    run_for(pc, 500)
    assert counts(pc, "reschedule") == [0, 0, 1, 0]
    assert counts(pc, "call_function") == [0, 0, 0, 0]


def test_a_called_function_runs_once_on_every_cpu_of_the_mask(pc):
    called = []
    pc.smp.call_function(0b1010, lambda this: called.append(this.cpu))
    run_for(pc, 10_000)
    assert sorted(called) == [1, 3]
    assert counts(pc, "call_function") == [0, 1, 0, 1]
    assert counts(pc, "tlb") == [0, 0, 0, 0]


def test_a_tlb_shootdown_counts_as_a_call_and_as_a_shootdown(pc):
    pc.smp.flush_tlb(0b0110)
    run_for(pc, 10_000)
    assert counts(pc, "call_function") == [0, 1, 1, 0]
    assert counts(pc, "tlb") == [0, 1, 1, 0]


def test_calls_to_a_cpu_that_has_one_waiting_need_no_further_interrupt(pc):
    called = []
    pc.cpus[1].occupy(100_000)
    for number in range(5):
        pc.smp.call_function(0b0010, lambda _this, n=number: called.append(n))
    run_for(pc, 1_000_000)
    assert called == [0, 1, 2, 3, 4]
    assert counts(pc, "call_function") == [0, 1, 0, 0]


def test_calls_leave_offline_cpus_out():
    pc = new_pc(4, online=0b0011)
    pc.smp.flush_tlb(0b1111)
    run_for(pc, 10_000)
    assert counts(pc, "tlb") == [1, 1, 0, 0]


def test_reschedules_of_a_busy_cpu_become_one(pc):
    pc.cpus[1].occupy(100_000)
    for _ in range(3):
        pc.smp.send_reschedule(1)
    run_for(pc, 1_000_000)
    assert counts(pc, "reschedule") == [0, 1, 0, 0]
    assert pc.losses()["collapsed in IRR"] == 2


def test_a_function_that_fails_leaves_its_cpu_able_to_take_interrupts(pc):
    def fail(_this):
        raise ZeroDivisionError

    pc.smp.call_function(0b0010, fail)
    with pytest.raises(ZeroDivisionError):
        run_for(pc, 10_000)
    pc.smp.send_reschedule(1)
    run_for(pc, 10_000)
    assert counts(pc, "reschedule")[1] == 1
    assert log_of(pc)
