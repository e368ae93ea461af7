"""pci_alloc_irq_vectors(): as many as there are, of the best kind that there is."""

import errno

import pytest

from pseudokern.hw.pci import Bdf, PciFunction
from pseudokern.irq.manage import irq_set_affinity
from pseudokern.x86.dmar import Iommu
from pseudokern.x86.msi_chip import message_of
from pseudokern.x86.pci import Spread
from tests.machine_parts import GSI, MessageLine, new_pc, requested, run_for

BDF = Bdf("0000:00:02.0")


@pytest.fixture
def pc():
    return new_pc(4)


@pytest.fixture
def remapped():
    return new_pc(4, iommu=Iommu())


def plug(pc, **capabilities):
    function = PciFunction(BDF, 0x1234, 0x11E8, 0x00FF00, **capabilities)
    pc.pci.add(function)
    pc.pci.enable(function)
    return function


def kinds_of(function):
    return set(function.irqs.values())


def refused(pc, function, *arguments, **more):
    """The errno of an allocation, after which nothing is left."""
    before = [desc.irq for desc in pc.irqs]
    with pytest.raises(OSError, match=r".") as caught:
        pc.pci.alloc_irq_vectors(function, *arguments, **more)
    assert [desc.irq for desc in pc.irqs] == before
    assert (function.msi, function.msix, function.irqs) == (None, None, {})
    return caught.value.errno


def test_msix_comes_first_and_gives_as_many_as_the_table_has(pc):
    function = plug(pc, msix_entries=5)
    assert len(pc.pci.alloc_irq_vectors(function, 1, 8)) == 5
    assert kinds_of(function) == {"msix"}


def test_msi_is_next_but_only_one_without_remapping(pc):
    function = plug(pc, msix_entries=0)
    assert len(pc.pci.alloc_irq_vectors(function, 1, 8)) == 1
    assert kinds_of(function) == {"msi"}


def test_msi_gives_up_to_32_with_remapping(remapped):
    function = plug(remapped, msix_entries=0)
    assert len(remapped.pci.alloc_irq_vectors(function, 1, 100)) == 32


def test_the_line_is_last_and_alone(pc):
    function = plug(pc, msix_entries=0, msi_vectors=0, gsi=GSI)
    (desc,) = pc.pci.alloc_irq_vectors(function, 1, 8)
    assert desc.irq == GSI


def test_a_driver_that_needs_two_does_not_get_the_line(pc):
    function = plug(pc, msix_entries=0, msi_vectors=0, gsi=GSI)
    assert refused(pc, function, 2, 8) == errno.ENOSPC


def test_what_cannot_be_had_is_told(pc):
    function = plug(pc, msix_entries=4)
    assert refused(pc, function, 5, 8) == errno.ENOSPC
    assert refused(pc, function, 8, 5) == errno.ERANGE
    assert refused(pc, function, 0, 5) == errno.EINVAL
    assert refused(pc, function, 2, 8, kinds=("msi",)) == errno.ENOSPC
    assert refused(pc, function, 1, 8, kinds=("intx",)) == errno.ENOSPC


def test_pci_nomsi_leaves_the_line(pc):
    pc.pci.has_messages = False
    function = plug(pc, gsi=GSI)
    assert pc.pci.alloc_irq_vectors(function, 1, 8)[0].irq == GSI
    assert refused(pc, function, 1, 8, kinds=("msix", "msi")) == errno.EINVAL


def test_a_function_has_its_messages_once(pc):
    function = plug(pc)
    pc.pci.alloc_irq_vectors(function, 2, 2)
    with pytest.raises(OSError, match="already") as caught:
        pc.pci.alloc_irq_vectors(function, 1, 1, kinds=("msix",))
    assert caught.value.errno == errno.EINVAL


def test_spread_vectors_are_no_more_than_there_are_cpus_but_for_those_apart(pc):
    function = plug(pc)
    descs = pc.pci.alloc_irq_vectors(function, 2, 100, spread=Spread(pre=1))
    assert [desc.is_managed for desc in descs] == [False, True, True, True, True]


@pytest.mark.parametrize("count", range(1, 33))
def test_any_number_of_msi_up_to_32_works_in_a_block_of_a_power_of_two(remapped, count):
    function = plug(remapped)
    descs = remapped.pci.alloc_msi(function, count)
    entries = function.msi.entries
    assert len(entries) == 1 << (count - 1).bit_length()
    assert [desc.irq for desc in descs] == list(range(descs[0].irq, descs[0].irq + count))
    assert [entry.data for entry in entries] == list(range(len(entries)))
    assert len({entry.address for entry in entries}) == 1
    assert remapped.dmar.ir.index_of(descs[0]) % len(entries) == 0

    lines = [MessageLine(remapped, desc) for desc in descs]
    requested(lines, 0)
    for line in lines:
        line.fire()
    assert [line.handled for line in lines] == [1] * count
    assert remapped.dmar.unit.blocked == {}


def test_the_vectors_of_a_block_move_each_for_itself(remapped):
    descs = remapped.pci.alloc_msi(plug(remapped), 4)
    lines = [MessageLine(remapped, desc) for desc in descs]
    requested(lines, 0)
    for cpu, line in enumerate(lines):
        irq_set_affinity(line.desc, 1 << cpu)
        line.fire()
    assert [line.handled_on for line in lines] == [[0], [1], [2], [3]]


def test_a_block_comes_back_as_a_whole(remapped):
    function = plug(remapped)
    first = remapped.dmar.ir.index_of(remapped.pci.alloc_msi(function, 3)[0])
    remapped.pci.free(function)
    assert remapped.dmar.ir.index_of(remapped.pci.alloc_msi(function, 4)[0]) == first


def test_an_unmaskable_message_is_sent_though_the_line_is_disabled(pc):
    function = plug(pc, msi_maskable=False)
    line = MessageLine(pc, pc.pci.alloc_msi(function, 1)[0]).request()
    line.desc.chip.mask(line.desc)
    assert message_of(line.desc).is_open
    line.fire()
    run_for(pc, 1_000)
    assert line.handled == 1
