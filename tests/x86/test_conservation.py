"""Nothing vanishes: an interrupt is handled, pending, one with another, or counted as lost."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pseudokern.x86.dmar import Iommu
from tests.x86.workload import Workload, scripts

FIRST_DEVICE_VECTOR, FIRST_SYSTEM_VECTOR = 0x20, 0xEB


def in_irr(life):
    devices = (1 << FIRST_SYSTEM_VECTOR) - (1 << FIRST_DEVICE_VECTOR)
    return sum((cpu.apic.irr & devices).bit_count() for cpu in life.pc.cpus)


def check_books(life):
    """At rest: what was raised is what was handled and what has a place."""
    assert in_irr(life) == 0
    raised = sum(line.raised for line in life.lines)
    handled = sum(line.handled for line in life.lines)
    lost = {place: times for place, times in life.pc.losses().items() if times}
    # A freed line's vector may be on its way still when the wire's line gets it: that edge at a
    # level line is an interrupt of the MIS row. And a replay of the wire's line may find that its
    # vector is nobody's any more; the wire says it again.
    # Behind a remapping unit the wire's interrupts are edges as well, so nobody can tell; but then
    # no device on the wire has anything to do. The unit's own line may be the heir, too.
    strays = raised - handled - sum(lost.values())
    inherited = life.pc.entry.mis
    if life.pc.dmar is not None:
        ours = {line.desc for line in life.everybody}
        inherited = sum(desc.total for desc in life.pc.irqs if desc not in ours)
        inherited += sum(level.not_mine for level in life.levels)
    # The other way round, the wire's interrupt may be on its way when a CPU goes down: that frees
    # the vectors of moves that are not finished, and another line may get one.
    from_the_wire = lost.get("vector without a line", 0) + life.left_by_the_wire
    assert -from_the_wire <= strays <= inherited, lost
    assert not any(line.queue.waiting for line in life.queue_lines)

    for level in life.levels:
        assert level.raised == level.served + level.already_asserted


def check_nothing_is_stuck(life):
    for line in life.everybody:
        assert not line.desc.is_masked
        assert not line.pending_in_core
    for level in life.levels:
        assert not level.wire.is_asserted_by(level)
    for cpu in life.pc.cpus:
        assert cpu.apic.isr == 0
        assert cpu.ready_ns == cpu.busy_until_ns


@given(scripts, st.booleans())
@settings(max_examples=150, deadline=None)
def test_every_interrupt_is_accounted_for(script, gates):
    life = Workload(gates=gates).live(script).come_to_rest()
    check_books(life)
    check_nothing_is_stuck(life)


@pytest.mark.parametrize("posts", [False, True], ids=["remapped", "posted"])
@given(scripts, st.booleans())
@example(
    [("signal", 0), ("signal", 0), ("free", 0), ("free", 1), ("switch", 1)],
    False,
).via("the unit's line gets the vector of an interrupt on its way")
@settings(max_examples=100, deadline=None)
def test_every_interrupt_behind_a_remapping_unit_is_accounted_for(posts, script, gates):
    life = Workload(gates=gates, iommu=Iommu(posts_messages=posts)).live(script).come_to_rest()
    check_books(life)
    check_nothing_is_stuck(life)
    assert life.pc.entry.mis == 0


@pytest.mark.slow
@given(scripts, st.booleans())
@settings(max_examples=600, deadline=None)
def test_every_interrupt_of_many_more_lives_is_accounted_for(script, gates):
    life = Workload(gates=gates).live(script).come_to_rest()
    check_books(life)
    check_nothing_is_stuck(life)


@given(scripts)
@settings(max_examples=60, deadline=None)
def test_handled_interrupts_are_those_that_were_counted(script):
    life = Workload(gates=True).live(script).come_to_rest()
    for line in life.lines:
        # One that comes during its own handler is one more call, and not counted again.
        assert line.desc.total <= line.handled


@given(scripts)
@settings(max_examples=60, deadline=None)
def test_at_rest_every_line_has_one_vector_and_every_vector_its_line(script):
    life = Workload(gates=True).live(script).come_to_rest()
    for line in life.everybody:
        line.fire(2)  # so that moves that are half done are done
    life.come_to_rest()
    vectors = life.pc.vectors
    booked = [desc for owned in vectors.vector_irq for desc in owned.values()]
    assert len(booked) == len(set(booked))
    assert {line.desc for line in life.everybody} < set(booked)
    assert vectors.matrix.total_allocated == len(booked)
