"""Without an I/O APIC: wired lines come through the 8259 pair, to the boot CPU."""

import errno

import pytest
from hypothesis import given, settings

from pseudokern.irq.desc import Irq
from pseudokern.irq.flags import Irqf, IrqReturn
from pseudokern.irq.manage import disable_irq, enable_irq, irq_set_affinity
from tests.machine_parts import (
    INTERRUPT_NS,
    at,
    intx_lines,
    isa_line,
    log_of,
    msix_line,
    new_pc,
    requested,
    run_for,
)
from tests.x86.test_conservation import check_books, check_nothing_is_stuck
from tests.x86.workload import Workload, scripts

PIRQ_A, PIRQ_C, PIRQ_E = 16, 18, 20
IMR_OF_FIRST, IMR_OF_SECOND = 0x21, 0xA1


@pytest.fixture
def pc():
    return new_pc(4, noapic=True)


def in_service(pc):
    return pc.pic.master.isr, pc.pic.slave.isr


def test_interrupts_0_to_15_are_level_at_the_8259_and_have_no_flow_name(pc):
    for number in range(16):
        desc = pc.irqs[Irq(number)]
        assert desc.chip.name == "XT-PIC"
        assert desc.is_level
        assert (desc.flow_name, desc.domain) == ("", None)
        assert not desc.effective_affinity
    assert [action.name for action in pc.irqs[Irq(2)].actions] == ["cascade"]


def test_there_are_as_many_numbers_as_with_the_io_apic_and_messages_begin_behind_its_pins(pc):
    assert pc.irqs.nr_irqs == new_pc(4).irqs.nr_irqs
    assert msix_line(pc).irq == 24


@pytest.mark.parametrize("irq", [4, 12])
def test_an_isa_device_interrupts_the_boot_cpu(pc, irq):
    line = isa_line(pc, irq).request()
    line.fire(3)
    assert line.handled_on == [0, 0, 0]
    assert line.counts == [3, 0, 0, 0]
    assert in_service(pc) == (0, 0)


def test_nobody_can_choose_where_a_line_of_the_8259_goes(pc):
    line = isa_line(pc).request()
    with pytest.raises(OSError, match="XT-PIC cannot route it") as caught:
        irq_set_affinity(line.desc, 2)
    assert caught.value.errno == errno.EINVAL
    assert not line.desc.user_can_set_affinity


def test_only_lines_with_a_handler_are_unmasked(pc):
    isa_line(pc, 4).request()
    line = isa_line(pc, 12).request()
    assert pc.pic.read(IMR_OF_FIRST) == 0xFF & ~(1 << 2 | 1 << 4)
    assert pc.pic.read(IMR_OF_SECOND) == 0xFF & ~(1 << 4)

    line.free()
    assert pc.pic.read(IMR_OF_SECOND) == 0xFF


def test_an_edge_that_arrives_during_its_own_handler_is_handled_next(pc):
    line = isa_line(pc).request()

    def again():
        if line.handled == 1:
            line.signal()
        return IrqReturn.HANDLED

    line.on_interrupt = again
    line.fire()
    assert line.counts == [2, 0, 0, 0]


def test_a_disabled_line_is_masked_at_once_and_its_edge_comes_when_it_is_enabled(pc):
    line = isa_line(pc).request()
    disable_irq(line.desc)
    assert pc.pic.read(IMR_OF_FIRST) >> 4 & 1

    line.fire()
    assert not line.handled
    enable_irq(line.desc)
    assert line.handled == 1


def test_an_interrupt_waits_until_the_boot_cpu_is_free(pc):
    first, second = isa_line(pc, 4).request(), isa_line(pc, 3).request()
    first.signal()
    second.signal()
    assert (first.handled, second.handled) == (1, 0)
    run_for(pc, INTERRUPT_NS - 1)
    assert not second.handled
    run_for(pc, 1)
    assert second.handled == 1


def test_a_line_of_the_8259_goes_before_a_message_that_waits_with_it(pc):
    message, edge = msix_line(pc), isa_line(pc).request()
    irq_set_affinity(message.desc, 1)
    message.fire(2)
    assert message.cpu == 0
    order = []
    message.on_interrupt = lambda: order.append("message") or IrqReturn.HANDLED
    edge.on_interrupt = lambda: order.append("edge") or IrqReturn.HANDLED
    pc.cpus[0].occupy(10_000)
    message.signal()
    edge.signal()
    run_for(pc, 50_000)
    assert order == ["edge", "message"]


def test_task_priority_does_not_concern_the_8259(pc):
    line = isa_line(pc).request()
    pc.cpus[0].apic.set_priority(0xFF)
    line.fire()
    assert line.handled == 1


def test_pci_devices_share_the_two_lines_to_which_firmware_routes_them(pc):
    lines = intx_lines(pc, gsi=PIRQ_A) + intx_lines(pc, gsi=PIRQ_E)
    assert [line.irq for line in lines] == [10, 10]
    assert intx_lines(pc, gsi=PIRQ_C)[0].irq == 11
    assert "PCI: setting IRQ 10 as level-triggered" in log_of(pc)
    assert pc.pic.read(0x4D1) & 0x0C == 0x0C


def test_each_handler_on_a_shared_line_knows_whether_it_was_its_device(pc):
    one, other = intx_lines(pc, gsi=PIRQ_A) + intx_lines(pc, gsi=PIRQ_E)
    requested([one, other])
    other.fire()
    assert (one.served, other.served) == (0, 1)
    assert (one.handled, other.handled) == (1, 1)
    assert one.desc.irqs_unhandled == 0


def test_two_devices_that_assert_a_shared_line_are_both_served(pc):
    one, other = intx_lines(pc, 2)
    requested([one, other])
    pc.cpus[0].occupy(10_000)
    one.signal()
    other.signal()
    run_for(pc, 50_000)
    assert (one.served, other.served) == (1, 1)
    assert one.counts == [1, 0, 0, 0]


def test_a_level_that_goes_before_the_cpu_is_free_interrupts_nobody(pc):
    (line,) = intx_lines(pc)
    line.request(Irqf.SHARED)
    pc.cpus[0].occupy(10_000)
    line.signal()
    at(pc, 5_000, lambda: line.wire.release_by(line))
    run_for(pc, 50_000)
    assert not line.handled
    assert pc.cpus[0].ready_ns == pc.cpus[0].busy_until_ns


@pytest.mark.parametrize(("noisy", "spurious"), [(5, 7), (10, 15)])
def test_a_spurious_interrupt_counts_in_err_and_is_told_once(pc, noisy, spurious):
    isa_line(pc, noisy).request()
    text = f"spurious 8259A interrupt: IRQ{spurious}."
    for times in (1, 2, 3):
        pc.pic.glitch(noisy)
        run_for(pc, 10_000)
        assert pc.entry.errors == times
        assert log_of(pc).count(text) == 1
    assert in_service(pc) == (0, 0)
    assert pc.irqs[Irq(spurious)].total == 0


def test_after_a_spurious_15_the_second_chip_goes_on(pc):
    line = isa_line(pc, 12).request()
    pc.pic.glitch(12)
    line.fire(2)
    assert line.handled == 2
    assert pc.entry.errors == 1


def test_a_spurious_7_on_a_line_in_use_is_handled_and_not_recognized(pc):
    """Linux looks at the in-service bit only if the line is masked."""
    line = isa_line(pc, 7).request()
    pc.pic.glitch(7)
    run_for(pc, 10_000)
    assert line.handled == 1
    assert pc.entry.errors == 0


def test_a_line_that_nobody_handles_is_disabled(pc):
    (line,) = intx_lines(pc)
    line.on_interrupt = lambda: IrqReturn.NONE
    line.request(Irqf.SHARED)
    line.signal()
    while line.handled < 100_000:
        run_for(pc, 1_000_000)
    assert "Disabling IRQ #10" in log_of(pc)
    run_for(pc, 1_000_000)
    assert line.handled == 100_000


def test_the_other_cpus_can_go_and_the_lines_stay(pc):
    line = isa_line(pc, 12).request()
    for cpu in (1, 2, 3):
        pc.hotplug.down(cpu)
    line.fire()
    for cpu in (1, 2, 3):
        pc.hotplug.up(cpu)
    line.fire()
    assert line.counts == [2, 0, 0, 0]


def test_no_message_gets_a_vector_of_the_8259(pc):
    legacy = {0x30 + number for number in range(16)}
    lines = [msix_line(pc, slot=slot) for slot in range(2, 30)]
    used = {pc.vectors.data(line.desc).vector for line in lines}
    assert not used & legacy
    assert all(pc.vectors.matrix.system_map >> vector & 1 for vector in legacy)


def test_with_an_io_apic_the_8259_is_masked_and_cut_off():
    pc = new_pc(2)
    assert pc.pic.read(IMR_OF_FIRST) == pc.pic.read(IMR_OF_SECOND) == 0xFF
    pc.pic.write(IMR_OF_FIRST, 0)
    pc.pic.pulse(4)
    run_for(pc, 10_000)
    assert pc.irqs[Irq(4)].total == 0
    assert pc.cpus[0].ready_ns == 0


def test_lines_wait_while_somebody_has_masked_the_whole_chip_by_its_port(pc):
    line = isa_line(pc, 4).request()
    pc.pic.write(IMR_OF_FIRST, 0xFF)
    line.fire()
    assert not line.handled
    pc.pic.write(IMR_OF_FIRST, 0)
    assert line.handled == 1


def test_a_vector_base_that_was_changed_by_its_port_reaches_no_line(pc):
    line = isa_line(pc, 4).request()
    for port, value in ((0x20, 0x11), (0x21, 0x60), (0x21, 4), (0x21, 1)):
        pc.pic.write(port, value)
    line.fire()
    assert not line.handled
    assert log_of(pc)[-1] == "No irq handler for 0.100"


def test_a_board_without_io_apics_has_its_messages_behind_the_legacy_interrupts():
    pc = new_pc(2, ioapics=0)
    assert msix_line(pc).irq == 16
    edge = isa_line(pc, 4).request()
    edge.fire()
    assert (edge.desc.chip.name, edge.handled) == ("XT-PIC", 1)
    assert pc.irqs.nr_irqs == 16 + 8 * 2 + 8 * 2


def test_a_machine_with_neither_has_no_legacy_interrupts_and_messages_begin_at_1():
    pc = new_pc(1, ioapics=0, has_pic=False)
    line = msix_line(pc)
    line.fire()
    assert (line.irq, line.handled) == (1, 1)
    assert "Using NULL legacy PIC" in log_of(pc)
    assert len(pc.irqs) == 1


@given(scripts)
@settings(max_examples=100, deadline=None)
def test_every_interrupt_is_accounted_for(script):
    life = Workload(gates=True, noapic=True).live(script).come_to_rest()
    check_books(life)
    check_nothing_is_stuck(life)
    assert in_service(life.pc) == (0, 0)
    assert life.pc.entry.errors == 0


@given(scripts)
@settings(max_examples=100, deadline=None)
def test_the_short_way_of_messages_does_what_the_long_way_does(script):
    short = Workload(gates=True, noapic=True).live(script)
    long = Workload(gates=False, noapic=True).live(script)
    assert short.state() == long.state()
    assert short.come_to_rest().state() == long.come_to_rest().state()
