"""The vector matrix books every vector once, and its counters say what its maps say."""

import errno
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pseudokern.irq.matrix import VectorMatrix

START, END = 0x20, 0x28  # eight vectors, so that they run out
SYSTEM = 0x23
CPUS = 4


@pytest.fixture
def matrix():
    """Two online CPUs with eight vectors each."""
    matrix = VectorMatrix(2, START, END)
    for cpu in range(2):
        matrix.online(cpu)
    return matrix


def refused(number, call, *arguments, **options):
    with pytest.raises(OSError, match=r"\w") as caught:
        call(*arguments, **options)
    return caught.value.errno == number


def test_the_lowest_vector_of_the_cpu_with_most_is_taken(matrix):
    matrix.alloc(0b01, reserved=False)
    assert matrix.alloc(0b11, reserved=False) == (1, START)


def test_between_equals_the_lowest_cpu_is_taken_for_a_regular_interrupt(matrix):
    assert matrix.alloc(0b11, reserved=False) == (0, START)


def test_between_equals_the_highest_cpu_is_taken_for_a_managed_interrupt(matrix):
    matrix.reserve_managed(0b11)
    assert matrix.alloc_managed(0b11) == (1, START)


def test_a_managed_interrupt_goes_to_the_cpu_that_uses_fewest(matrix):
    for _ in range(2):
        matrix.reserve_managed(0b11)
    matrix.alloc_managed(0b10)
    assert matrix.alloc_managed(0b11) == (0, START)


def test_a_vector_that_was_freed_is_the_lowest_again(matrix):
    for _ in range(3):
        matrix.alloc(0b01, reserved=False)
    matrix.free(0, START + 1, managed=False)
    assert matrix.alloc(0b01, reserved=False) == (0, START + 1)


def test_a_full_cpu_gives_enospc_and_an_empty_mask_einval(matrix):
    for _ in range(8):
        matrix.alloc(0b01, reserved=False)
    assert refused(errno.ENOSPC, matrix.alloc, 0b01, reserved=False)
    assert refused(errno.EINVAL, matrix.alloc, 0, reserved=False)
    assert refused(errno.EINVAL, matrix.alloc_managed, 0)
    assert refused(errno.ENOSPC, matrix.alloc_managed, 0b01)


def test_keeping_managed_vectors_is_undone_where_one_cpu_has_none(matrix):
    for _ in range(8):
        matrix.alloc(0b10, reserved=False)
    assert refused(errno.ENOSPC, matrix.reserve_managed, 0b11)
    assert matrix.maps[0].managed_map == 0
    assert matrix.maps[0].available == 8


def test_freeing_a_vector_twice_is_an_error(matrix):
    cpu, vector = matrix.alloc(0b01, reserved=False)
    matrix.free(cpu, vector, managed=False)
    with pytest.raises(ValueError, match="vector 32 of CPU 0 is not allocated"):
        matrix.free(cpu, vector, managed=False)


def test_only_the_first_promise_that_may_not_be_kept_is_told(matrix):
    assert [matrix.reserve() for _ in range(19)] == [True] * 16 + [False] + [True] * 2


def test_an_offline_cpu_gives_no_vectors_but_keeps_its_own(matrix):
    matrix.alloc(0b01, reserved=False)
    matrix.offline(0)
    assert matrix.global_available == 8
    assert refused(errno.ENOSPC, matrix.alloc, 0b01, reserved=False)

    matrix.online(0)
    assert matrix.global_available == 15
    assert matrix.alloc(0b01, reserved=False) == (0, START + 1)


def test_vectors_kept_while_a_cpu_is_offline_are_not_given_out_when_it_is_back(matrix):
    # As in Linux, `available` does not hear of them.
    matrix.offline(0)
    for _ in range(8):
        matrix.reserve_managed(0b01)
    matrix.online(0)
    assert matrix.maps[0].available == 8
    assert refused(errno.ENOSPC, matrix.alloc, 0b01, reserved=False)


def attempt(call, *arguments, **options):
    """True and the result, or False if there was no space."""
    try:
        return True, call(*arguments, **options)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False, None


class MatrixAgainstOwners(RuleBasedStateMachine):
    """A matrix, and a list of who owns which vector."""

    def __init__(self):
        super().__init__()
        self.matrix = VectorMatrix(CPUS, START, END)
        self.matrix.assign_system(0, SYSTEM, replace=False)
        self.online = set()
        self.came_up = set()
        self.regular = []  # (cpu, vector)
        self.managed_used = []  # (cpu, vector)
        self.kept = [0] * CPUS
        self.unheard = Counter()  # vectors kept or let go of while the CPU was offline
        self.freed_offline = 0
        for cpu in (0, 1):
            self.bring_up(cpu)

    def bring_up(self, cpu):
        if cpu not in self.came_up:
            self.unheard[cpu] = 0
        self.matrix.online(cpu)
        self.online.add(cpu)
        self.came_up.add(cpu)

    @rule(cpu=st.integers(0, CPUS - 1))
    def switch(self, cpu):
        if cpu in self.online:
            self.matrix.offline(cpu)
            self.online.remove(cpu)
        else:
            self.bring_up(cpu)

    @rule(mask=st.integers(1, (1 << CPUS) - 1), reserved=st.booleans())
    def alloc(self, mask, reserved):
        candidates = [cpu for cpu in sorted(self.online) if mask >> cpu & 1]
        if reserved:
            self.matrix.reserve()
        fits, booked = attempt(self.matrix.alloc, mask, reserved=reserved)
        if not fits:
            if reserved:
                self.matrix.remove_reserved()
            return
        cpu, vector = booked
        assert cpu in candidates
        assert START <= vector < END
        assert vector != SYSTEM
        assert (cpu, vector) not in self.regular
        self.regular.append((cpu, vector))

    @precondition(lambda self: self.regular)
    @rule(data=st.data())
    def free(self, data):
        cpu, vector = data.draw(st.sampled_from(self.regular))
        self.regular.remove((cpu, vector))
        self.matrix.free(cpu, vector, managed=False)
        self.freed_offline += cpu not in self.online

    @rule(mask=st.integers(1, (1 << CPUS) - 1))
    def reserve_managed(self, mask):
        before = [(cpu_map.managed_map, cpu_map.available) for cpu_map in self.matrix.maps]
        fits, _ = attempt(self.matrix.reserve_managed, mask)
        if not fits:
            after = [(cpu_map.managed_map, cpu_map.available) for cpu_map in self.matrix.maps]
            assert after == before
            return
        for cpu in range(CPUS):
            if mask >> cpu & 1:
                self.kept[cpu] += 1
                self.unheard[cpu] += cpu not in self.online

    @rule(cpu=st.integers(0, CPUS - 1))
    def remove_managed(self, cpu):
        used = sum(owner == cpu for owner, _ in self.managed_used)
        self.matrix.remove_managed(1 << cpu)
        if self.kept[cpu] > used:
            self.kept[cpu] -= 1
            self.unheard[cpu] -= cpu not in self.online

    @rule(mask=st.integers(1, (1 << CPUS) - 1))
    def alloc_managed(self, mask):
        fits, booked = attempt(self.matrix.alloc_managed, mask)
        if not fits:
            return
        cpu, vector = booked
        assert cpu in self.online
        assert (cpu, vector) not in self.managed_used
        self.managed_used.append((cpu, vector))

    @precondition(lambda self: self.managed_used)
    @rule(data=st.data())
    def free_managed(self, data):
        cpu, vector = data.draw(st.sampled_from(self.managed_used))
        self.managed_used.remove((cpu, vector))
        self.matrix.free(cpu, vector, managed=True)
        self.freed_offline += cpu not in self.online

    @invariant()
    def no_vector_is_booked_twice(self):
        owned = Counter(self.regular + self.managed_used)
        assert max(owned.values(), default=1) == 1
        for cpu, cpu_map in enumerate(self.matrix.maps):
            mine = sum(1 << vector for owner, vector in owned if owner == cpu)
            regular = sum(1 << vector for owner, vector in self.regular if owner == cpu)
            assert cpu_map.alloc_map == mine
            assert cpu_map.managed_map & regular == 0
            assert not (cpu_map.alloc_map | cpu_map.managed_map) >> SYSTEM & 1

    @invariant()
    def counters_are_what_the_maps_hold(self):
        system = 1 << SYSTEM
        for cpu, cpu_map in enumerate(self.matrix.maps):
            in_use = cpu_map.alloc_map & cpu_map.managed_map
            assert cpu_map.allocated == cpu_map.alloc_map.bit_count()
            assert cpu_map.managed == cpu_map.managed_map.bit_count() == self.kept[cpu]
            assert cpu_map.managed_allocated == in_use.bit_count()
            if cpu in self.came_up:
                taken = cpu_map.alloc_map | cpu_map.managed_map | system
                free = END - START - taken.bit_count()
                assert cpu_map.available == free + self.unheard[cpu]

    @invariant()
    def global_counters_are_the_sums_over_online_cpus(self):
        online = [self.matrix.maps[cpu] for cpu in self.online]
        assert self.matrix.online_maps == len(online)
        assert self.matrix.global_available == sum(cpu_map.available for cpu_map in online)
        owned = len(self.regular) + len(self.managed_used)
        # As in Linux, what is freed on an offline CPU is not taken from the total.
        assert self.matrix.total_allocated == owned + self.freed_offline
        assert self.matrix.global_reserved == 0


TestMatrixAgainstOwners = MatrixAgainstOwners.TestCase
TestMatrixAgainstOwners.settings = settings(max_examples=60, stateful_step_count=60)
