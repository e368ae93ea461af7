"""Remapped interrupts move at once; who has no entry in the table does not get through."""

import errno

import pytest

from pseudokern.hw.bus import message_address
from pseudokern.hw.irte import SPOILT
from pseudokern.hw.pci import Bdf, requester_id
from pseudokern.irq.flags import Irqf
from pseudokern.irq.manage import irq_affinity_shown, irq_set_affinity
from pseudokern.x86.dmar import Iommu
from pseudokern.x86.msi_chip import message_of
from tests.machine_parts import (
    TICK_NS,
    intx_lines,
    isa_line,
    log_of,
    msi_line,
    msix_line,
    msix_lines,
    new_pc,
    requested,
    run_for,
)

STATUS = "DMAR: DRHD: handling fault status reg 2"


@pytest.fixture
def pc():
    return new_pc(4, iommu=Iommu())


@pytest.fixture
def message(pc):
    return msix_line(pc)


@pytest.fixture(params=["message", "edge", "level"])
def any_line(request):
    return request.getfixturevalue(request.param)


def vectors_booked(line):
    owners = [owned.values() for owned in line.pc.vectors.vector_irq]
    return [cpu for cpu, descs in enumerate(owners) if line.desc in descs]


def other_cpu(line):
    return next(cpu for cpu in range(4) if cpu != line.cpu)


def entry_of(line):
    return line.pc.dmar.ir.index_of(line.desc)


def faults(pc):
    return [text for text in log_of(pc) if "DMAR: [INTR-REMAP]" in text]


def test_the_chips_are_called_after_the_unit_in_front_of_them(pc):
    assert isa_line(pc).desc.chip.name == "IR-IO-APIC"
    assert msix_lines(pc)[0].desc.chip.name == "IR-PCI-MSIX-0000:00:02.0"
    assert msi_line(pc).desc.chip.name == "IR-PCI-MSI-0000:00:03.0"


def test_interrupts_of_every_kind_arrive(any_line):
    any_line.fire(3)
    assert any_line.handled == 3
    assert any_line.counts[any_line.cpu] == 3


def test_a_move_takes_effect_without_an_interrupt(any_line):
    line, new = any_line, other_cpu(any_line)
    irq_set_affinity(line.desc, 1 << new)
    assert irq_affinity_shown(line.desc) == 1 << new
    assert line.desc.effective_affinity == 1 << new

    line.fire()
    assert line.handled_on == [new]


def test_the_old_vector_is_free_one_jiffy_after_the_move_without_an_interrupt(any_line):
    line, old, new = any_line, any_line.cpu, other_cpu(any_line)
    irq_set_affinity(line.desc, 1 << new)
    assert vectors_booked(line) == sorted([old, new])
    run_for(line.pc, 2 * TICK_NS)
    assert vectors_booked(line) == [new]


def test_a_second_move_before_the_clean_up_waits_for_the_next_interrupt(message):
    line = message
    first, second = [cpu for cpu in range(4) if cpu != line.cpu][:2]
    irq_set_affinity(line.desc, 1 << first)
    irq_set_affinity(line.desc, 1 << second)
    assert irq_affinity_shown(line.desc) == 1 << second
    assert line.desc.effective_affinity == 1 << first

    run_for(line.pc, 2 * TICK_NS)
    line.fire()
    assert line.handled_on == [first]
    assert line.desc.effective_affinity == 1 << second


def test_full_cpus_refuse_a_move_at_once(pc, message):
    matrix = pc.vectors.matrix
    target = other_cpu(message)
    for _ in range(matrix.maps[target].available):
        matrix.alloc(1 << target, reserved=False)
    before = irq_affinity_shown(message.desc)
    with pytest.raises(OSError, match="taken") as caught:
        irq_set_affinity(message.desc, 1 << target)
    assert caught.value.errno == errno.ENOSPC
    assert irq_affinity_shown(message.desc) == before
    message.fire()
    assert message.handled == 1


def test_a_level_is_ended_by_hand_because_it_arrives_as_an_edge(pc):
    first, second = intx_lines(pc, 2)
    requested([first, second])
    first.signal()
    second.signal()
    run_for(pc, 100_000)
    assert (first.served, second.served) == (1, 1)
    assert pc.entry.mis == 0


def test_a_short_way_goes_through_the_entry_as_it_was_found(message):
    assert message.desc.fast_counts is not None
    message.pc.dmar.unit.table[entry_of(message)] |= SPOILT
    message.desc.changed()
    assert message.desc.fast_counts is None
    message.fire()
    assert message.handled == 0
    assert len(faults(message.pc)) == 1


def test_the_fault_interrupt_is_the_first_number_behind_the_pins(pc):
    desc = pc.irqs[24]
    assert (desc.chip.name, desc.hwirq, desc.flow_name) == ("DMAR-MSI", 0, "edge")
    assert [action.name for action in desc.actions] == ["dmar0"]
    assert desc.node == -1


def test_linux_6_1_requests_it_on_the_boot_cpu_before_there_are_others():
    pc = new_pc(4, iommu=Iommu(early=True))
    assert pc.irqs[24].affinity == 1
    assert pc.irqs[24].effective_affinity == 1
    assert new_pc(4, iommu=Iommu()).irqs[24].affinity == 0xF


def test_the_fault_interrupt_moves_with_its_next_interrupt(pc, message):
    desc = pc.irqs[24]
    old, new = desc.effective_affinity, desc.effective_affinity << 1
    irq_set_affinity(desc, new)
    assert desc.effective_affinity == old
    forge(message, "0000:00:09.0")
    assert desc.effective_affinity == new
    forge(message, "0000:00:09.0")
    assert desc.total == 2
    assert len(faults(pc)) == 2


def forge(line, bdf):
    """Send the line's message from another function."""
    message = message_of(line.desc)
    line.pc.bus.write(message.address, message.data, requester_id(Bdf(bdf)))
    run_for(line.pc, 100_000)


def test_a_message_from_another_function_is_blocked_and_logged(pc, message):
    forge(message, "0000:00:1f.3")
    assert message.handled == 0
    what = "Blocked an interrupt request due to source-id verification failure"
    assert log_of(pc)[-2:] == [
        STATUS,
        f"DMAR: [INTR-REMAP] Request device [00:1f.3] fault index 0x{entry_of(message):x} "
        f"[fault reason 0x26] {what}",
    ]
    assert pc.losses()[f"blocked: {what}"] == 1


def test_nosid_lets_every_function_use_every_entry():
    pc = new_pc(4, iommu=Iommu(checks_source=False))
    message = msix_line(pc)
    forge(message, "0000:00:1f.3")
    assert message.handled == 1


def test_a_message_in_compatibility_format_is_blocked(pc, message):
    pc.bus.write(message_address(0), 0x41, requester_id(Bdf("0000:00:02.0")))
    run_for(pc, 100_000)
    assert faults(pc) == [
        "DMAR: [INTR-REMAP] Request device [00:02.0] fault index 0x0 [fault reason 0x25] "
        "Blocked a compatibility format interrupt request"
    ]


def test_a_freed_line_has_no_entry_until_it_is_requested_again(pc):
    line = msi_line(pc)
    line.request()
    index = entry_of(line)
    line.free()
    assert index not in pc.dmar.unit.table
    line.request()
    line.fire()
    assert line.handled == 1


def test_the_log_of_a_flood_of_faults_is_rate_limited(pc, message):
    for _ in range(50):
        forge(message, "0000:00:09.0")
    assert pc.irqs[24].total == 50
    # Three of ten for each: the status, the fault, and the look for another one.
    assert len(faults(pc)) == 3
    run_for(pc, 6_000_000_000)
    forge(message, "0000:00:09.0")
    assert "dmar_fault: 140 callbacks suppressed" in log_of(pc)


def test_an_interrupt_that_comes_while_the_fault_interrupt_is_masked_is_reported_later(pc, message):
    unit = pc.dmar.unit
    unit.set_masked(True)
    forge(message, "0000:00:09.0")
    assert faults(pc) == []
    unit.set_masked(False)
    run_for(pc, 100_000)
    assert len(faults(pc)) == 1


def test_off_leaves_the_unit_without_a_part_but_reports_faults_of_dma():
    pc = new_pc(4, iommu=Iommu(remaps=False))
    line = msix_line(pc)
    assert line.desc.chip.name == "PCI-MSIX-0000:00:02.0"
    assert pc.irqs[24].chip.name == "DMAR-MSI"
    forge(line, "0000:00:09.0")
    assert line.handled == 1


def test_without_translation_linux_6_12_never_requests_the_fault_interrupt():
    pc = new_pc(4, iommu=Iommu(translates=False))
    assert pc.irqs.get(24) is None


def test_noapic_leaves_remapping_off():
    pc = new_pc(4, noapic=True, iommu=Iommu())
    assert "APIC: Not enabling interrupt remapping due to skipped IO-APIC setup" in log_of(pc)
    assert msix_lines(pc)[0].desc.chip.name == "PCI-MSIX-0000:00:02.0"


@pytest.mark.parametrize(
    ("iommu", "lines"),
    [
        (Iommu(), ["DMAR-IR: Enabled IRQ remapping in xapic mode"]),
        (
            Iommu(has_x2apic=True),
            [
                "DMAR-IR: Queued invalidation will be enabled to support x2apic and "
                "Intr-remapping.",
                "DMAR-IR: Enabled IRQ remapping in x2apic mode",
                "x2apic enabled",
            ],
        ),
        (
            Iommu(has_x2apic=True, x2apic_optout=True),
            [
                "DMAR-IR: x2apic is disabled because BIOS sets x2apic opt out bit.",
                "DMAR-IR: Use 'intremap=no_x2apic_optout' to override the BIOS setting.",
                "DMAR-IR: Enabled IRQ remapping in xapic mode",
                "x2apic: IRQ remapping doesn't support X2APIC mode",
            ],
        ),
    ],
)
def test_the_log_says_in_which_mode_remapping_works(iommu, lines):
    log = log_of(new_pc(2, iommu=iommu))
    first = log.index(lines[0])
    assert log[first : first + len(lines)] == lines


def test_entries_of_a_function_come_back_when_its_interrupts_are_freed(pc):
    lines = msix_lines(pc, 3)
    indices = [entry_of(line) for line in lines]
    pc.pci.free(pc.pci.functions[Bdf("0000:00:02.0")])
    again = msix_lines(pc, 3, slot=5)
    assert [entry_of(line) for line in again] == indices


def test_an_interrupt_has_its_number_at_every_level(pc, message):
    ir = pc.dmar.ir
    assert ir.name == "INTEL-IR-0-13"
    assert message.desc.domain.name == "IR-PCI-MSIX-0000:00:02.0-12"
    assert list(message.desc.domain.levels()) == [message.desc.domain, ir, pc.vectors]
    assert ir.descs[entry_of(message) << 16] is message.desc


def test_what_waits_at_the_vector_that_a_move_left_is_not_lost_with_the_cpu(pc):
    level = intx_lines(pc)[0].request(Irqf.SHARED)
    irq_set_affinity(level.desc, 1 << 2)
    run_for(pc, 2 * TICK_NS)
    pc.cpus[2].occupy(1_000_000)
    level.signal()
    irq_set_affinity(level.desc, 1 << 0)
    pc.hotplug.down(2)
    run_for(pc, 2_000_000)
    assert level.served == 1
    assert level.handled_on == [0]


def test_oneshot_levels_work_behind_the_unit(pc):
    level = intx_lines(pc)[0].request(Irqf.SHARED)
    level.fire(5)
    assert level.served == 5
