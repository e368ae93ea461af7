"""One test for each check that the specification of the behaviour suggests, in its order.

Here each is the shortest that says it, on a whole PC; the tests of each part say the rest.
"""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudokern.fs.stat import show_stat
from pseudokern.irq.affinity import group_cpus_evenly
from pseudokern.irq.chip import handle_edge_irq
from pseudokern.irq.flags import Irqf, IrqReturn
from pseudokern.irq.irqchip import IrqChip
from pseudokern.irq.manage import disable_irq, irq_affinity_shown, irq_set_affinity
from pseudokern.irq.request import request_irq
from pseudokern.kernel.cpumask import (
    cpulist_format,
    cpulist_parse,
    cpumask_format,
    cpumask_parse,
)
from pseudokern.kernel.kthread import sleep_ns
from pseudokern.kernel.napi import Napi
from pseudokern.kernel.softirq import MAX_SOFTIRQ_RESTART, Softirq
from pseudokern.machine.description import Overrides, load
from pseudokern.machine.machine import Machine
from pseudokern.x86.dmar import Iommu
from pseudokern.x86.pci import Spread
from tests.machine_parts import (
    MS,
    TICK_NS,
    intx_lines,
    log_of,
    msix_line,
    msix_lines,
    new_pc,
    requested,
    run_for,
    software_line,
)


# 1. Masks: print and parse round trip for 1 to 300 CPUs.
@given(st.integers(1, 300), st.data())
def test_row_1_a_mask_survives_being_printed_and_read(cpus, data):
    mask = data.draw(st.integers(0, (1 << cpus) - 1))
    assert cpumask_parse(cpumask_format(mask, cpus).encode(), cpus) == mask
    assert cpulist_parse(cpulist_format(mask).encode(), cpus) == mask


@pytest.mark.parametrize(
    ("parse", "text", "number"),
    [
        (cpumask_parse, b"x", errno.EINVAL),
        (cpumask_parse, b"10", errno.EOVERFLOW),
        (cpumask_parse, b"123456789", errno.EOVERFLOW),
        (cpulist_parse, b"4", errno.ERANGE),
        (cpulist_parse, b"2-1", errno.EINVAL),
        (cpulist_parse, b"99999999999", errno.EOVERFLOW),
    ],
)
def test_row_1_bad_masks_have_the_errno_of_linux(parse, text, number):
    with pytest.raises(OSError, match=r"\w") as refused:
        parse(text, 4)
    assert refused.value.errno == number


# 2. 100,000 unhandled interrupts; the poll timer; gaps of 101 ms.
def test_row_2_a_shared_line_that_nobody_handles_is_disabled_and_polled_from_then_on():
    pc = new_pc(1)
    shared, alone = software_line(pc, IrqChip()), software_line(pc, IrqChip(), name="alone")
    calls = {"shared": 0, "alone": 0}
    for desc, name, flags in ((shared, "shared", Irqf.SHARED), (alone, "alone", 0)):

        def handle(name=name):
            calls[name] += 1
            return IrqReturn.NONE

        request_irq(pc.irqs, desc.irq, handle, flags, name, name)
        for _ in range(99_999):
            desc.handle_irq(desc)
        assert not desc.is_disabled
        desc.handle_irq(desc)
        assert desc.is_disabled
        assert log_of(pc)[-1] == f"Disabling IRQ #{desc.irq}"
    before = dict(calls)
    run_for(pc, 150 * MS)
    assert calls["shared"] == before["shared"] + 1
    assert calls["alone"] == before["alone"]


def test_row_2_gaps_of_101_ms_never_disable_a_line():
    pc = new_pc(1)
    line = msix_line(pc)
    line.on_interrupt = lambda: IrqReturn.NONE
    for _ in range(200):
        line.fire()
        run_for(pc, 104 * MS)
    assert line.desc.irqs_unhandled <= 1


# 3. A move while idle.
def test_row_3_a_move_takes_one_interrupt_on_the_old_cpu_and_two_vectors_for_a_jiffy():
    pc = new_pc(2)
    line = msix_line(pc)
    old, new = line.cpu, 1 - line.cpu
    irq_set_affinity(line.desc, 1 << new)
    assert (irq_affinity_shown(line.desc), line.cpu) == (1 << new, old)

    booked = pc.vectors.matrix.total_allocated
    line.fire()
    assert (line.counts[old], line.counts[new], line.cpu) == (1, 0, new)
    assert pc.vectors.matrix.total_allocated == booked + 1
    line.fire()
    assert (line.counts[old], line.counts[new]) == (1, 1)
    run_for(pc, 2 * TICK_NS)
    assert pc.vectors.matrix.total_allocated == booked


# 4. Three moves between two interrupts.
def test_row_4_of_three_moves_only_the_last_is_made():
    pc = new_pc(4)
    line = msix_line(pc)
    old, *others = line.cpu, *(cpu for cpu in range(4) if cpu != line.cpu)
    for cpu in others:
        irq_set_affinity(line.desc, 1 << cpu)
    line.fire(2)
    assert line.cpu == others[-1]
    assert [line.counts[cpu] for cpu in (old, *others)] == [1, 0, 0, 1]


# 5. Widening never moves; ties.
def test_row_5_widening_never_moves_and_ties_go_to_the_lowest_or_highest_cpu():
    pc = new_pc(4)
    regular = msix_line(pc)
    [managed] = msix_lines(pc, 1, slot=5, spread=Spread())
    managed.request()
    assert managed.cpu == 3
    free = [cpu_map.available for cpu_map in pc.vectors.matrix.maps]
    [another] = msix_lines(pc, 1, slot=6)
    another.request()
    assert another.cpu == free.index(max(free))

    irq_set_affinity(regular.desc, 1 << 2)
    regular.fire(2)
    run_for(pc, 2 * TICK_NS)
    irq_set_affinity(regular.desc, 0b1111)
    regular.fire(2)
    assert regular.cpu == 2


# 6. A CPU without free vectors.
@pytest.mark.parametrize("remapped", [False, True])
def test_row_6_a_move_to_a_full_cpu_is_enospc_with_remapping_and_stays_without(remapped):
    pc = new_pc(2, iommu=Iommu() if remapped else None)
    lines = msix_lines(pc, pc.vectors.matrix.maps[1].available + 1)
    for line in lines[:-1]:
        irq_set_affinity(line.desc, 0b10)
        line.request()
    assert pc.vectors.matrix.maps[1].available == 0

    last = lines[-1]
    irq_set_affinity(last.desc, 0b01)
    last.request()
    if remapped:
        with pytest.raises(OSError, match="taken") as refused:
            irq_set_affinity(last.desc, 0b10)
        assert refused.value.errno == errno.ENOSPC
    else:
        irq_set_affinity(last.desc, 0b10)
        last.fire(2)
    assert last.cpu == 0


# 7. CPUs that go away.
def test_row_7_a_cpu_goes_its_lines_go_elsewhere_and_managed_ones_wait_for_it():
    pc = new_pc(2)
    line = msix_line(pc)
    managed = msix_lines(pc, 2, slot=5, spread=Spread())
    requested(managed, 0)
    irq_set_affinity(line.desc, 0b10)
    line.fire(2)
    pc.hotplug.down(1)
    assert (line.cpu, line.desc.affinity) == (0, 0b01)
    assert managed[1].desc.effective_affinity == 0b01  # parked
    managed[1].fire()
    assert managed[1].handled == 0

    pc.hotplug.up(1)
    run_for(pc, MS)
    assert managed[1].handled == 1
    assert managed[1].cpu == 1


def test_row_7_a_cpu_whose_vectors_fit_nowhere_stays():
    pc = new_pc(2)
    available = pc.vectors.matrix.global_available
    lines = msix_lines(pc, available - 5)
    for line in lines:
        line.request()
    with pytest.raises(OSError, match="Cannot disable CPU") as refused:
        pc.hotplug.down(1)
    assert refused.value.errno == errno.ENOSPC
    assert pc.kernel.is_online(1)


# 8. Edges during the handler.
def test_row_8_two_edges_during_the_handler_are_one_more_call_and_no_more_counts():
    pc = new_pc(1)
    desc = software_line(pc, IrqChip(), handle_edge_irq)
    calls = []

    def handle():
        calls.append(1)
        if len(calls) == 1:
            desc.handle_irq(desc)
            desc.handle_irq(desc)
        return IrqReturn.HANDLED

    request_irq(pc.irqs, desc.irq, handle, 0, "test")
    desc.handle_irq(desc)
    assert (len(calls), desc.total) == (2, 1)


# 9. ONESHOT with two threads.
@pytest.mark.parametrize("disables", [False, True])
def test_row_9_a_oneshot_line_is_unmasked_by_its_last_thread_unless_it_was_disabled(disables):
    pc = new_pc(2)
    one, other = intx_lines(pc, 2)
    ends = []
    for line, duration_ns in ((one, 100_000), (other, 300_000)):

        async def work(line=line, duration_ns=duration_ns):
            await sleep_ns(duration_ns)
            line.let_go()
            ends.append(line)
            return IrqReturn.HANDLED

        flags = Irqf.SHARED | Irqf.ONESHOT
        request_irq(pc.irqs, line.irq, None, flags, "test", line, thread_fn=work)
    one.signal()
    other.signal()
    run_for(pc, 200_000)
    assert (ends, one.desc.is_masked) == ([one], True)
    if disables:
        disable_irq(one.desc)
    run_for(pc, 200_000)
    assert (ends, one.desc.is_masked) == ([one, other], disables)


# 10. A softirq that is always pending.
def test_row_10_a_softirq_that_is_always_pending_gets_ten_passes_at_once():
    pc = new_pc(1)
    this = pc.kernel.cpus[0]
    passes = []

    def always(this, now_ns):
        passes.append(pc.kernel.timeline.now_ns)
        if len(passes) < MAX_SOFTIRQ_RESTART + 1:
            this.softirq_pending |= 1 << Softirq.SCHED
        return now_ns

    pc.kernel.softirqs.open_softirq(Softirq.SCHED, always)
    this.softirq_pending |= 1 << Softirq.SCHED | 1 << Softirq.RCU
    pc.kernel.softirqs.irq_exit(this, 10_000, 1_000)
    assert len(passes) == MAX_SOFTIRQ_RESTART == 10
    run_for(pc, MS)
    assert len(passes) == 11


# 11. The budget of NET_RX.
def test_row_11_the_fifth_full_ring_ends_the_poll_and_the_time_is_squeezed():
    pc = new_pc(1)
    this = pc.kernel.cpus[0]
    rings = [Ring() for _ in range(6)]
    for ring in rings:
        ring.schedule(this)
    this.softirq_pending = 0
    pc.kernel.net_rx.action(this, 1_000)
    assert [ring.polled for ring in rings] == [64] * 5 + [0]
    assert this.time_squeeze == 1


class Ring(Napi):
    polled = 0

    def poll(self, weight):
        self.polled += weight
        return weight


# 12. NMI during NMI during NMI: tests/x86/test_nmi.py.


# 13. The line of /proc/stat.
def test_row_13_the_intr_line_has_one_number_for_each_interrupt_that_could_exist():
    machine = Machine(load("q4", Overrides()), 1)
    [line] = [row for row in show_stat(machine).splitlines() if row.startswith(b"intr")]
    assert len(line.split()) - 1 == 1 + machine.irqs.nr_irqs


# 14. The examples of managed spreading. Of two equal nodes the second comes first, as recorded.
PAIRS = {cpu: 0b10001 << cpu % 4 for cpu in range(8)}


@pytest.mark.parametrize(
    ("node_of", "siblings_of", "groups", "expected"),
    [
        (lambda _: 0, PAIRS.get, 4, ["0,4", "1,5", "2,6", "3,7"]),
        (lambda _: 0, PAIRS.get, 3, ["0-1,4", "2-3,6", "5,7"]),
        (lambda _: 0, PAIRS.get, 2, ["0-1,4-5", "2-3,6-7"]),
        (lambda cpu: cpu // 4, None, 4, ["4-5", "6-7", "0-1", "2-3"]),
        (lambda cpu: cpu // 4, None, 1, ["0-7"]),
        (lambda cpu: cpu // 6, None, 4, ["6-7", "0-1", "2-3", "4-5"]),
        (lambda cpu: cpu // 6, None, 3, ["6-7", "0-2", "3-5"]),
    ],
)
def test_row_14_cpus_are_grouped_by_node_and_core(node_of, siblings_of, groups, expected):
    siblings_of = siblings_of or (lambda cpu: 1 << cpu)
    masks = group_cpus_evenly(groups, 0xFF, 0xFF, node_of, siblings_of)
    assert [cpulist_format(mask) for mask in masks] == expected
