"""Where vectors go, and what is said when there are none."""

import errno

import pytest

from pseudokern.hw.vector import Vector
from pseudokern.irq.desc import Irq
from pseudokern.irq.manage import irq_affinity_shown, irq_set_affinity
from pseudokern.x86.vectors import (
    FIRST_EXTERNAL_VECTOR,
    IA32_SYSCALL_VECTOR,
    ISA_CASCADE_VECTOR,
    ISA_VECTOR_BASE,
    MANAGED_IRQ_SHUTDOWN_VECTOR,
)
from tests.machine_parts import (
    intx_lines,
    isa_line,
    log_of,
    msix_line,
    msix_lines,
    new_pc,
    requested,
    run_for,
)

WARNING = "Interrupt reservation exceeds available resources"


def vector_of(line):
    return line.pc.vectors.data(line.desc).vector


def fill(pc, cpu):
    """Take every vector of one CPU, and leave its lines there."""
    lines = msix_lines(pc, pc.vectors.matrix.maps[cpu].available, slot=20 + cpu)
    for line in lines:
        irq_set_affinity(line.desc, 1 << cpu)
        line.request()
    assert pc.vectors.matrix.maps[cpu].available == 0
    return lines


def test_a_cpu_has_201_vectors_for_devices_and_the_boot_cpu_one_less(pc):
    # 0xeb - 0x20, less 0x80 (int80) and 0x32 (the cascade); the timer keeps 0x30 on CPU 0.
    assert [cpu_map.available for cpu_map in pc.vectors.matrix.maps] == [200, 201, 201, 201]
    timer = pc.irqs[Irq(0)]
    assert pc.vectors.vector_irq[0] == {ISA_VECTOR_BASE: timer}


def test_lines_spread_over_the_cpus_by_what_is_free_the_lowest_cpu_first(pc):
    lines = msix_lines(pc, 5)
    requested(lines, 0)
    assert [line.cpu for line in lines] == [1, 2, 3, 0, 1]


def test_vectors_are_taken_from_the_lowest_and_not_where_the_system_has_its_own():
    pc = new_pc(1)
    lines = msix_lines(pc, 120)
    requested(lines, 0)
    taken = [vector_of(line) for line in lines]
    reserved = {ISA_VECTOR_BASE, ISA_CASCADE_VECTOR, IA32_SYSCALL_VECTOR}
    everything = [n for n in range(FIRST_EXTERNAL_VECTOR, 256) if n not in reserved]
    assert taken == everything[:120]


def test_a_line_that_nobody_requested_points_at_the_shutdown_vector(pc):
    [line] = msix_lines(pc)
    data = pc.vectors.data(line.desc)
    assert (data.vector, data.target_vector, data.target_cpu) == (0, MANAGED_IRQ_SHUTDOWN_VECTOR, 0)
    assert line.desc.effective_affinity == 1


def test_a_line_prefers_its_node():
    pc = new_pc(4, node_of=lambda cpu: cpu // 2)
    lines = msix_lines(pc, 4, node=1)
    requested(lines, 0)
    assert [line.cpu for line in lines] == [2, 3, 2, 3]
    assert all(line.desc.affinity == 0b1100 for line in lines)


def test_a_line_that_may_not_be_balanced_keeps_its_affinity_and_ignores_its_node():
    pc = new_pc(4, node_of=lambda cpu: cpu // 2)
    isa_line(pc, 0).request(0x800)
    assert pc.irqs[Irq(0)].affinity == 0b1111


def test_a_move_to_a_full_cpu_succeeds_and_stays(pc):
    line = msix_line(pc)
    old = line.cpu
    full = next(cpu for cpu in range(4) if cpu != old)
    fill(pc, full)
    irq_set_affinity(line.desc, 1 << full)
    assert irq_affinity_shown(line.desc) == 1 << full

    line.fire(2)
    assert line.handled_on == [old, old]
    assert line.cpu == old


def test_a_request_whose_cpus_are_full_goes_elsewhere_and_says_so(pc):
    fill(pc, 2)
    [line] = msix_lines(pc)
    irq_set_affinity(line.desc, 1 << 2)
    line.request()
    assert line.cpu != 2
    assert line.desc.affinity == 1 << 2
    message = f"irq {line.irq}: Affinity broken due to vector space exhaustion."
    assert log_of(pc)[-1] == message

    line.fire()
    assert line.handled == 1


def test_a_request_when_every_cpu_is_full_is_enospc():
    pc = new_pc(2)
    fill(pc, 0)
    fill(pc, 1)
    [line] = msix_lines(pc)
    with pytest.raises(OSError, match="every vector of these CPUs is taken") as caught:
        line.request()
    assert caught.value.errno == errno.ENOSPC
    assert not line.desc.actions


def test_a_line_that_could_not_be_requested_can_be_when_there_is_room():
    pc = new_pc(1)
    lines = fill(pc, 0)
    [line] = msix_lines(pc)
    with pytest.raises(OSError, match="taken"):
        line.request()
    lines[0].free()
    line.request()
    line.fire()
    assert line.handled == 1


def test_the_first_reservation_that_there_may_be_no_vector_for_is_warned_of():
    pc = new_pc(1)
    free = pc.vectors.matrix.global_available - pc.vectors.matrix.global_reserved
    msix_lines(pc, free, slot=2)
    assert WARNING not in log_of(pc)

    msix_lines(pc, 3, slot=3)
    assert log_of(pc).count(WARNING) == 1


def test_freeing_a_function_takes_its_reservations_back(pc):
    before = pc.vectors.matrix.global_reserved
    msix_lines(pc, 7, slot=4)
    assert pc.vectors.matrix.global_reserved == before + 7
    pc.pci.free(pc.pci.functions["0000:00:04.0"])
    assert pc.vectors.matrix.global_reserved == before


def test_a_straggler_after_a_shutdown_is_silent_and_the_next_one_is_told_of(pc):
    line = msix_line(pc)
    cpu, vector = line.cpu, vector_of(line)
    line.free()
    before = len(log_of(pc))
    pc.cpus[cpu].apic.accept(Vector(vector))
    run_for(pc, 10_000)
    assert len(log_of(pc)) == before

    pc.cpus[cpu].apic.accept(Vector(vector))
    run_for(pc, 10_000)
    assert log_of(pc)[before:] == [f"No irq handler for {cpu}.{vector}"]
    assert pc.losses()["vector without a line"] == 2


def test_a_vector_of_the_system_that_nobody_uses_is_counted_as_spurious(pc):
    pc.cpus[1].apic.accept(Vector(MANAGED_IRQ_SHUTDOWN_VECTOR))
    assert pc.kernel.cpus[1].counts.spurious == 1
    assert log_of(pc)[-1] == "Spurious interrupt (vector 0xef) on CPU#1. Acked"
    run_for(pc, 10_000)
    assert pc.cpus[1].apic.isr == 0


def test_an_apic_error_is_counted_and_logged_only_with_apic_debug(pc):
    before = log_of(pc)
    pc.cpus[1].apic.accept(Vector(3))
    assert pc.entry.errors == 1
    assert log_of(pc) == before

    run_for(pc, 10_000)
    pc.entry.apic_debug = True
    pc.cpus[1].apic.accept(Vector(3))
    assert pc.entry.errors == 2
    assert log_of(pc)[-1] == "APIC error on CPU1: 40 : Received illegal vector"


def test_the_log_names_every_error_that_an_apic_found(pc):
    pc.entry.apic_debug = True
    pc.cpus[1].apic.report_errors(0xFF)
    assert log_of(pc)[-1] == (
        "APIC error on CPU1: ff : Send CS error : Receive CS error : Send accept error : "
        "Receive accept error : Redirectable IPI : Send illegal vector : "
        "Received illegal vector : Illegal register address"
    )


def test_a_request_that_is_gone_gives_the_spurious_vector_which_is_never_in_service(pc):
    pc.cpus[1].apic.give_spurious()
    assert pc.kernel.cpus[1].counts.spurious == 1
    text = "Spurious APIC interrupt (vector 0xFF) on CPU#1, should never happen."
    assert log_of(pc)[-1] == text
    assert (pc.cpus[1].apic.irr, pc.cpus[1].apic.isr) == (0, 0)


def test_a_line_of_the_boot_timer_can_be_freed_and_requested_again(pc):
    timer = isa_line(pc, 0).request()
    timer.fire()
    timer.free()
    irq_set_affinity(timer.desc, 0b0001)
    timer.request()
    timer.fire()
    assert timer.handled == 2
    assert vector_of(timer) == ISA_VECTOR_BASE


def test_a_level_line_that_inherits_a_vector_with_an_edge_on_its_way_counts_mis_and_goes_on(pc):
    [level] = intx_lines(pc)
    level.request(0x80)
    edge = msix_line(pc)
    cpu = edge.cpu
    irq_set_affinity(level.desc, 1 << cpu)
    pc.cpus[cpu].occupy(1_000_000)
    edge.signal()
    edge.free()
    level.fire()
    assert vector_of(level) in pc.vectors.vector_irq[cpu]
    assert pc.cpus[cpu].apic.is_requested(vector_of(level))

    level.signal()
    run_for(pc, 2_000_000)
    assert pc.entry.mis == 0  # the level's message made a level of it
    assert level.served == 2

    pc.cpus[cpu].apic.accept(Vector(vector_of(level)))
    assert pc.entry.mis == 1
    level.fire()
    assert level.served == 3


@pytest.mark.parametrize("cpu_goes", [False, True])
def test_a_level_line_that_is_freed_before_a_cpu_takes_its_interrupt_is_not_stuck(pc, cpu_goes):
    [line] = intx_lines(pc)
    [other] = msix_lines(pc)
    line.request()
    for cpu in pc.cpus:
        cpu.occupy(1_000_000)
    line.signal()
    if cpu_goes:
        pc.hotplug.down(line.cpu)
    vector, home = pc.vectors.data(line.desc).vector, line.cpu
    line.free()
    irq_set_affinity(other.desc, 1 << home)
    other.request()  # and gets the vector that was the line's
    irq_set_affinity(line.desc, 1 << home)
    line.request()
    assert pc.vectors.data(line.desc).vector != vector

    run_for(pc, 3_000_000)
    assert not line.wire.is_asserted_by(line)
    assert line.served == 1
