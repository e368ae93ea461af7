"""A CPU takes interrupts when it is free, and one after the other."""

import pytest

from pseudokern.hw.cpu import Cpu, IdtGate
from pseudokern.hw.lapic import LocalApic
from pseudokern.hw.vector import VECTORS
from pseudokern.sim.timeline import Timeline

HANDLER_NS = 1_000


class Machine:
    """A CPU whose handlers take 1 us each, and what it took when."""

    def __init__(self):
        self.timeline = Timeline()
        self.apic = LocalApic(self.timeline, 0)
        self.cpu = Cpu(self.timeline, 0, self.apic)
        self.taken = []
        self.in_handler = lambda: None
        self.cpu.idt[:] = [IdtGate("test", self.handle)] * VECTORS
        self.cpu.sti()

    def handle(self, cpu, vector):
        self.taken.append((self.timeline.now_ns, vector))
        self.apic.eoi()
        self.in_handler()
        cpu.occupy(HANDLER_NS)

    def run(self, until_ns):
        self.timeline.run(until_ns, 1_000_000)


@pytest.fixture
def machine():
    return Machine()


def test_an_idle_cpu_takes_an_interrupt_at_once(machine):
    machine.apic.accept(0x41)
    assert machine.taken == [(0, 0x41)]


def test_a_busy_cpu_leaves_vectors_in_irr_and_takes_them_by_priority_when_it_is_free(machine):
    machine.cpu.occupy(5_000)
    for vector in (0x31, 0x61, 0x41):
        machine.apic.accept(vector)
    machine.run(4_999)
    assert machine.taken == []
    assert machine.apic.irr == 1 << 0x31 | 1 << 0x61 | 1 << 0x41

    machine.run(100_000)
    assert machine.taken == [(5_000, 0x61), (6_000, 0x41), (7_000, 0x31)]


def test_work_that_comes_while_a_vector_waits_keeps_it_waiting(machine):
    machine.cpu.occupy(5_000)
    machine.apic.accept(0x41)
    machine.run(3_000)
    machine.cpu.occupy(5_000)
    machine.run(100_000)
    assert machine.taken == [(10_000, 0x41)]


def test_an_interrupt_that_a_handler_brings_about_waits_for_its_end(machine):
    machine.in_handler = lambda: len(machine.taken) == 1 and machine.apic.accept(0x91)
    machine.apic.accept(0x41)
    assert machine.taken == [(0, 0x41)]

    machine.run(100_000)
    assert machine.taken == [(0, 0x41), (1_000, 0x91)]


def test_nothing_is_taken_while_interrupts_are_off(machine):
    machine.cpu.cli()
    machine.apic.accept(0x41)
    machine.run(100_000)
    assert machine.taken == []

    machine.cpu.sti()
    assert machine.taken == [(100_000, 0x41)]


def test_lowering_tpr_lets_a_waiting_vector_through(machine):
    machine.apic.set_priority(0x40)
    machine.apic.accept(0x41)
    assert machine.taken == []

    machine.apic.set_priority(0x30)
    assert machine.taken == [(0, 0x41)]


def test_a_cpu_whose_handler_failed_takes_the_next_interrupt(machine):
    def fail():
        machine.in_handler = lambda: None
        machine.apic.accept(0x51)
        raise ZeroDivisionError

    machine.in_handler = fail
    with pytest.raises(ZeroDivisionError):
        machine.apic.accept(0x41)
    machine.run(100_000)
    assert [vector for _, vector in machine.taken] == [0x41, 0x51]


def test_ready_ns_says_from_when_on_an_interrupt_is_taken_at_once(machine):
    assert machine.cpu.ready_ns == 0
    machine.cpu.occupy(5_000)
    assert machine.cpu.ready_ns == 5_000

    machine.apic.accept(0x41)
    assert machine.cpu.ready_ns > 100_000
    machine.run(5_000)
    assert machine.cpu.ready_ns == 6_000


def test_a_vector_without_a_gate_is_an_error(machine):
    machine.cpu.idt[0x41] = None
    with pytest.raises(RuntimeError, match="CPU 0: no gate for vector 0x41"):
        machine.apic.accept(0x41)
