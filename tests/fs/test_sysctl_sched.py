"""/proc/sys/kernel/sched_*: what real-time tasks may have."""

import errno

import pytest

from pseudokern.fs.sysctl_sched import (
    show_sched_rr_timeslice_ms,
    show_sched_rt_runtime_us,
    store_sched_rr_timeslice_ms,
    store_sched_rt_period_us,
    store_sched_rt_runtime_us,
)
from pseudokern.machine.description import Overrides, load
from pseudokern.machine.machine import Machine


def machine(kernel):
    return Machine(load("laptop", Overrides(kernel=kernel)), 0)


def refused(store, machine, text):
    with pytest.raises(OSError, match=r"sched_rt|fair servers") as error:
        store(machine, text)
    return error.value.errno


def test_real_time_tasks_may_have_95_percent_and_that_can_be_changed():
    booted = machine("6.12")
    assert show_sched_rt_runtime_us(booted) == b"950000\n"
    store_sched_rt_runtime_us(booted, b"-1\n")
    assert show_sched_rt_runtime_us(booted) == b"-1\n"


def test_more_than_the_period_is_refused_and_so_is_no_period():
    booted = machine("6.12")
    assert refused(store_sched_rt_runtime_us, booted, b"1000001\n") == errno.EINVAL
    assert refused(store_sched_rt_runtime_us, booted, b"-2\n") == errno.EINVAL
    assert refused(store_sched_rt_period_us, booted, b"900000\n") == errno.EINVAL
    assert refused(store_sched_rt_period_us, booted, b"0\n") == errno.EINVAL
    assert show_sched_rt_runtime_us(booted) == b"950000\n"


@pytest.mark.parametrize(("kernel", "answer"), [("6.1", 0), ("6.12", errno.EBUSY)])
def test_from_6_12_on_the_fair_servers_want_their_5_percent(kernel, answer):
    booted = machine(kernel)
    store_sched_rt_runtime_us(booted, b"50000\n")
    if answer:
        assert refused(store_sched_rt_runtime_us, booted, b"49999\n") == answer
    else:
        store_sched_rt_runtime_us(booted, b"0\n")


def test_a_turn_of_0_ms_is_the_default():
    booted = machine("6.12")
    store_sched_rr_timeslice_ms(booted, b"20\n")
    assert show_sched_rr_timeslice_ms(booted) == b"20\n"
    store_sched_rr_timeslice_ms(booted, b"0\n")
    assert show_sched_rr_timeslice_ms(booted) == b"100\n"
