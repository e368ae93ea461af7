"""The load average rises towards the number of busy CPUs, and forgets in its own time."""

import math

import pytest

from pseudokern.fs.loadavg import show_loadavg
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine

S = 1_000_000_000


@pytest.fixture
def machine(tmp_path):
    file = tmp_path / "busy.toml"
    file.write_text('[machine]\ncpus = 8\n[load]\nuser = "50%"\nburst = "50 ms"\n')
    return Machine(load(file), 0)


def run_for(machine, seconds):
    until_ns = machine.timeline.now_ns + int(seconds * S)
    while not machine.timeline.run(until_ns, 100_000):
        continue


def averages(machine):
    return [float(word) for word in show_loadavg(machine).split()[:3]]


def test_it_is_looked_at_every_five_seconds_and_a_tick(machine):
    run_for(machine, 5.0)
    assert averages(machine) == [0, 0, 0]
    run_for(machine, 0.005)
    assert averages(machine)[0] > 0


def test_after_a_minute_the_first_average_is_most_of_the_way_to_the_busy_cpus(machine):
    run_for(machine, 60.2)
    one, five, fifteen = averages(machine)
    # Half of 8 CPUs are busy; what is there after a time t is 1 - exp(-t / period) of that.
    assert one == pytest.approx(4 * (1 - math.exp(-1)), rel=0.3)
    assert five == pytest.approx(4 * (1 - math.exp(-1 / 5)), rel=0.3)
    assert one > five > fifteen > 0


def test_busy_cpus_threads_and_the_last_pid_follow(machine):
    running, threads = show_loadavg(machine).split()[3].split(b"/")
    assert 1 <= int(running) <= 8
    assert int(threads) == 1 + len(machine.irqs.kthreads.by_pid)
