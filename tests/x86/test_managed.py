"""Managed interrupts: spread when they are made, kept there, and out of the users' hands."""

import errno

import pytest

from pseudokern.irq.flags import IrqData, Irqf
from pseudokern.irq.manage import irq_set_affinity
from pseudokern.x86.pci import Spread
from tests.machine_parts import isa_line, msix_lines, new_pc, requested


def masks(lines):
    return [line.desc.affinity for line in lines]


def test_one_vector_for_each_cpu_when_there_are_as_many(pc):
    admin, *queues = msix_lines(pc, 5, spread=Spread(pre=1))
    assert masks(queues) == [0b0001, 0b0010, 0b0100, 0b1000]
    assert all(queue.desc.is_managed for queue in queues)
    assert not admin.desc.is_managed
    assert admin.desc.affinity == 0b1111


def test_a_managed_line_goes_to_the_highest_cpu_of_its_mask_when_all_are_equal(pc):
    lines = msix_lines(pc, 2, spread=Spread())
    requested(lines, 0)
    assert masks(lines) == [0b0011, 0b1100]
    assert [line.cpu for line in lines] == [1, 3]


def test_managed_vectors_are_kept_on_every_cpu_of_the_mask(pc):
    before = [cpu_map.available for cpu_map in pc.vectors.matrix.maps]
    msix_lines(pc, 2, spread=Spread())
    assert [cpu_map.managed for cpu_map in pc.vectors.matrix.maps] == [1, 1, 1, 1]
    assert [cpu_map.available for cpu_map in pc.vectors.matrix.maps] == [n - 1 for n in before]


def test_a_managed_line_keeps_its_mask_with_offline_cpus_and_without_its_node():
    pc = new_pc(4, online=0b0101, node_of=lambda cpu: cpu % 2)
    [line] = msix_lines(pc, 1, spread=Spread())
    line.request()
    assert line.desc.affinity == 0b1111
    assert line.cpu == 2


def test_freeing_a_managed_function_gives_everything_back():
    pc = new_pc(4, online=0b0011)
    before = [
        (cpu_map.available, cpu_map.managed, cpu_map.allocated)
        for cpu_map in pc.vectors.matrix.maps
    ]
    lines = msix_lines(pc, 3, slot=5, spread=Spread(pre=1))
    requested(lines, 0)
    for line in lines:
        line.free()
    pc.pci.free(pc.pci.functions["0000:00:05.0"])
    after = [
        (cpu_map.available, cpu_map.managed, cpu_map.allocated)
        for cpu_map in pc.vectors.matrix.maps
    ]
    assert after == before


def test_a_managed_line_without_an_online_cpu_is_shut_down_and_starts_with_its_cpu():
    pc = new_pc(4, online=0b0111)
    lines = msix_lines(pc, 4, spread=Spread())
    requested(lines, 0)
    last = lines[3]
    assert last.desc.dstate & IrqData.MANAGED_SHUTDOWN
    last.fire()
    assert last.handled == 0

    pc.hotplug.up(3)
    assert not last.desc.dstate & IrqData.MANAGED_SHUTDOWN
    last.fire()
    assert set(last.handled_on) == {3}


def test_managed_vectors_that_do_not_fit_are_enospc_and_leave_nothing_behind():
    pc = new_pc(1)
    matrix = pc.vectors.matrix
    before = (matrix.maps[0].available, len(pc.irqs))
    with pytest.raises(OSError, match="no vector left to keep") as caught:
        msix_lines(pc, 201, spread=Spread())
    assert caught.value.errno == errno.ENOSPC
    assert (matrix.maps[0].available, len(pc.irqs)) == before
    assert matrix.maps[0].managed == 0


def test_a_driver_may_not_move_a_managed_line_out_of_its_mask(pc):
    lines = msix_lines(pc, 4, spread=Spread())
    requested(lines, 0)
    irq_set_affinity(lines[0].desc, 0b1000)
    lines[0].fire(2)
    assert set(lines[0].handled_on) == {0}


@pytest.mark.parametrize(
    ("flags", "allowed"), [(Irqf.NONE, True), (Irqf.NOBALANCING, False), (Irqf.PERCPU, False)]
)
def test_users_may_move_a_line_unless_its_driver_forbade_it(pc, flags, allowed):
    line = isa_line(pc).request(flags)
    assert line.desc.user_can_set_affinity == allowed


def test_users_may_not_move_managed_lines_nor_those_of_the_8259(pc):
    lines = msix_lines(pc, 4, spread=Spread())
    assert not lines[0].desc.user_can_set_affinity
    assert not isa_line(pc, 2).desc.user_can_set_affinity


def test_a_managed_function_of_many_queues_spreads_over_nodes_and_cores():
    pc = new_pc(8, node_of=lambda cpu: cpu // 4, siblings_of=lambda cpu: 0b11 << (cpu & ~1))
    assert masks(msix_lines(pc, 4, spread=Spread())) == [0x30, 0xC0, 0x03, 0x0C]


def test_a_managed_line_stays_off_isolated_cpus_if_its_mask_has_another(pc):
    pc.kernel.isolated_managed_irq = 0b1110
    lines = msix_lines(pc, 2, spread=Spread())
    requested(lines, 0)
    assert masks(lines) == [0b0011, 0b1100]
    assert [line.cpu for line in lines] == [0, 3]


def test_a_managed_line_leaves_an_isolated_cpu_when_a_housekeeping_one_comes_back(pc):
    pc.kernel.isolated_managed_irq = 0b1000
    line = msix_lines(pc, 2, spread=Spread())[1]
    line.request()
    assert line.cpu == 2

    pc.hotplug.down(2)
    assert line.cpu == 3

    pc.hotplug.up(2)
    line.signal()
    assert line.cpu == 2
