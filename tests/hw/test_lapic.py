"""The local APIC delivers the highest priority first, above what the CPU does already."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pseudokern.hw.lapic import ESR_RECEIVE_ILLEGAL_VECTOR, LocalApic
from pseudokern.sim.timeline import Timeline

vectors = st.integers(16, 255)
priorities = st.integers(0, 255)


@pytest.fixture
def timeline():
    return Timeline()


@pytest.fixture
def apic(timeline):
    return LocalApic(timeline, 0)


@given(st.sets(vectors, min_size=1, max_size=40))
def test_requests_are_delivered_from_the_highest_vector_down(requested):
    apic, delivered = LocalApic(Timeline(), 0), []
    for vector in requested:
        apic.accept(vector)
    while (vector := apic.acknowledge()) is not None:
        delivered.append(vector)
        apic.eoi()
    assert delivered == sorted(requested, reverse=True)


@given(st.sets(vectors, max_size=20), priorities)
def test_nothing_of_the_class_of_tpr_or_below_is_delivered(requested, tpr):
    apic, delivered = LocalApic(Timeline(), 0), set()
    apic.set_priority(tpr)
    for vector in requested:
        apic.accept(vector)
    while (vector := apic.acknowledge()) is not None:
        delivered.add(vector)
        apic.eoi()
    assert delivered == {vector for vector in requested if vector >> 4 > tpr >> 4}
    assert all(apic.is_requested(vector) for vector in requested - delivered)


def test_a_request_of_the_same_class_waits_for_the_eoi(apic):
    apic.accept(0x41)
    assert apic.acknowledge() == 0x41
    apic.accept(0x4F)
    assert apic.acknowledge() is None

    apic.eoi()
    assert apic.acknowledge() == 0x4F


def test_a_request_of_a_higher_class_nests(apic):
    apic.accept(0x41)
    apic.acknowledge()
    apic.accept(0x51)
    assert apic.acknowledge() == 0x51

    apic.eoi()
    assert apic.is_in_service(0x41)
    assert not apic.is_in_service(0x51)


def test_a_vector_has_one_request_and_one_in_service_at_most(apic):
    apic.accept(0x41)
    apic.acknowledge()
    apic.accept(0x41)
    assert apic.collapsed == 0

    apic.accept(0x41)
    assert apic.collapsed == 1


def test_ppr_is_tpr_or_the_class_of_what_is_in_service(apic):
    apic.set_priority(0x35)
    assert apic.ppr == 0x35

    apic.accept(0x41)
    apic.acknowledge()
    assert apic.ppr == 0x40


def test_an_eoi_without_anything_in_service_does_nothing(apic):
    apic.accept(0x41)
    apic.eoi()
    assert apic.is_requested(0x41)


def test_only_the_eoi_of_a_level_interrupt_is_broadcast(apic):
    told = []
    apic.connect_bus(told.append, lambda _apic_id, _vector: None)
    for vector, level in ((0x41, False), (0x51, True)):
        apic.accept(vector, level=level)
        apic.acknowledge()
        apic.eoi()
    assert told == [0x51]


def test_an_edge_after_a_level_on_the_same_vector_is_an_edge(apic):
    told = []
    apic.connect_bus(told.append, lambda _apic_id, _vector: None)
    for level in (True, False):
        apic.accept(0x51, level=level)
        apic.acknowledge()
        apic.eoi()
    assert told == [0x51]


def test_a_vector_below_16_is_an_error_of_the_sender(apic):
    apic.lvt_error.vector, apic.lvt_error.masked = 0xFE, False
    apic.accept(15)
    assert apic.esr == ESR_RECEIVE_ILLEGAL_VECTOR
    assert apic.acknowledge() == 0xFE


def test_the_timer_interrupts_at_its_deadline_unless_it_is_masked(timeline, apic):
    apic.lvt_timer.vector, apic.lvt_timer.masked = 0xEC, False
    apic.set_deadline(100)
    timeline.run(99, 1_000)
    assert apic.irr == 0

    timeline.run(100, 1_000)
    assert apic.acknowledge() == 0xEC

    apic.lvt_timer.masked = True
    apic.set_deadline(200)
    timeline.run(200, 1_000)
    assert apic.irr == 0


class ApicAgainstSets(RuleBasedStateMachine):
    """A local APIC, and what the SDM says about it in terms of sets of vectors."""

    def __init__(self):
        super().__init__()
        self.apic = LocalApic(Timeline(), 0)
        self.requested, self.in_service, self.tpr = set(), set(), 0

    @rule(vector=vectors)
    def accept(self, vector):
        self.apic.accept(vector)
        self.requested.add(vector)

    @rule(tpr=priorities)
    def write_tpr(self, tpr):
        self.apic.set_priority(tpr)
        self.tpr = tpr

    @rule()
    def acknowledge(self):
        busy_with = max([self.tpr >> 4, *(vector >> 4 for vector in self.in_service)])
        above = [vector for vector in self.requested if vector >> 4 > busy_with]
        expected = max(above, default=None)
        assert self.apic.has_request() == bool(above)
        assert self.apic.acknowledge() == expected
        if expected is not None:
            self.requested.remove(expected)
            self.in_service.add(expected)

    @rule()
    def eoi(self):
        self.apic.eoi()
        if self.in_service:
            self.in_service.remove(max(self.in_service))

    @invariant()
    def registers_are_the_sets(self):
        assert self.apic.irr == sum(1 << vector for vector in self.requested)
        assert self.apic.isr == sum(1 << vector for vector in self.in_service)


TestApicAgainstSets = ApicAgainstSets.TestCase
