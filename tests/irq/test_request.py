"""Who may request a line, who may share it, and what the log says of those who may not."""

import errno

import pytest

from pseudokern.irq.chip import handle_edge_irq
from pseudokern.irq.desc import Irq
from pseudokern.irq.domain import IrqDomain
from pseudokern.irq.flags import IrqData, Irqf, IrqReturn, IrqSetting
from pseudokern.irq.irqchip import IrqChip
from pseudokern.irq.manage import enable_irq
from pseudokern.irq.request import IRQ_NOTCONNECTED, free_irq, request_irq
from tests.machine_parts import intx_lines, log_of, msix_line, msix_lines, new_pc


def refuses(number, pc, irq, flags=0, dev_id="me"):
    with pytest.raises(OSError, match=r"\w") as caught:
        request_irq(pc.irqs, irq, lambda: IrqReturn.HANDLED, flags, "test", dev_id)
    return caught.value.errno == number


def test_a_device_without_an_interrupt_gets_enotconn(pc):
    assert refuses(errno.ENOTCONN, pc, IRQ_NOTCONNECTED)


def test_a_line_that_is_not_there_gets_einval(pc):
    assert refuses(errno.EINVAL, pc, Irq(99))


def test_a_line_without_a_controller_gets_enosys(pc):
    [desc] = pc.irqs.alloc_descs(1, node=-1)
    assert refuses(errno.ENOSYS, pc, desc.irq)


@pytest.mark.parametrize("setting", [IrqSetting.NOREQUEST, IrqSetting.PER_CPU_DEVID])
def test_a_line_that_may_not_be_requested_gets_einval(pc, setting):
    [line] = msix_lines(pc)
    line.desc.settings |= setting
    assert refuses(errno.EINVAL, pc, line.irq)


@pytest.mark.parametrize(
    ("flags", "dev_id"),
    [
        (Irqf.SHARED, None),
        (Irqf.SHARED | Irqf.NO_AUTOEN, "me"),
        (Irqf.COND_SUSPEND, "me"),
        (Irqf.SHARED | Irqf.COND_SUSPEND | Irqf.NO_SUSPEND, "me"),
    ],
)
def test_flags_that_contradict_each_other_get_einval(pc, flags, dev_id):
    [line] = msix_lines(pc)
    assert refuses(errno.EINVAL, pc, line.irq, flags, dev_id)


def test_handlers_of_a_shared_line_are_called_in_the_order_of_their_requests(pc):
    first, second = intx_lines(pc, 2)
    called = []
    for line in (first, second):
        line.on_interrupt = lambda line=line: called.append(line) or line.let_go()
        line.request(Irqf.SHARED)
    first.signal()
    assert called == [first, second]


def test_a_second_handler_that_does_not_share_gets_ebusy_and_a_line_in_the_log(pc, line):
    assert refuses(errno.EBUSY, pc, line.irq, Irqf.SHARED | Irqf.TRIGGER_RISING)
    assert log_of(pc)[-1] == (
        f"genirq: Flags mismatch irq {line.irq}. 00000081 (test) vs. 00000000 (test)"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (Irqf.SHARED | Irqf.ONESHOT, Irqf.SHARED),
        (Irqf.SHARED, Irqf.SHARED | Irqf.ONESHOT),
        (Irqf.SHARED, Irqf.SHARED | Irqf.PERCPU),
        (Irqf.SHARED, 0),
        (0, Irqf.SHARED),
    ],
)
def test_handlers_that_disagree_do_not_share(pc, old, new):
    one, other = intx_lines(pc, 2)
    one.request(old)
    assert refuses(errno.EBUSY, pc, one.irq, new, other)
    assert len(one.desc.actions) == 1


def test_cond_oneshot_adopts_the_oneshot_of_the_line(pc):
    one, other = intx_lines(pc, 2)
    one.request(Irqf.SHARED | Irqf.ONESHOT)
    other.request(Irqf.SHARED | Irqf.COND_ONESHOT)
    assert other.desc.actions[1].flags & Irqf.ONESHOT


def test_probe_shared_keeps_a_mismatch_out_of_the_log(pc, line):
    before = log_of(pc)
    assert refuses(errno.EBUSY, pc, line.irq, Irqf.PROBE_SHARED)
    assert log_of(pc) == before


def test_a_handler_without_a_name_is_null_in_the_log(pc):
    [line] = msix_lines(pc)
    line.request(name=None)
    assert refuses(errno.EBUSY, pc, line.irq)
    assert log_of(pc)[-1].endswith("00000000 (test) vs. 00000000 ((null))")


def test_a_request_clears_what_the_spurious_detector_counted(pc):
    one, other = intx_lines(pc, 2)
    one.request(Irqf.SHARED)
    one.desc.irq_count, one.desc.irqs_unhandled = 5, 4
    other.request(Irqf.SHARED)
    assert (one.desc.irq_count, one.desc.irqs_unhandled) == (0, 0)


def test_freeing_the_last_handler_silences_the_line_and_gives_the_vector_back(pc, line):
    total = pc.vectors.matrix.total_allocated
    line.free()
    assert pc.vectors.matrix.total_allocated == total - 1
    assert pc.vectors.matrix.global_reserved > 0

    line.fire()
    assert line.handled == 0


def test_freeing_one_of_two_handlers_leaves_the_other(pc):
    one, other = intx_lines(pc, 2)
    one.request(Irqf.SHARED)
    other.request(Irqf.SHARED)
    one.free()
    other.fire()
    assert (one.handled, other.handled) == (0, 1)


def test_freeing_what_was_not_requested_is_told_and_changes_nothing(pc, line):
    assert free_irq(line.desc, "somebody else") is None
    assert f"Trying to free already-free IRQ {line.irq}" in log_of(pc)
    line.fire()
    assert line.handled == 1


def test_a_line_counts_on_through_ten_cycles_of_free_and_request(pc, line):
    available = pc.vectors.matrix.global_available
    for cycle in range(1, 11):
        line.fire()
        assert line.desc.total == cycle
        line.free()
        line.request()
    assert pc.vectors.matrix.global_available == available


def test_an_interrupt_that_came_between_free_and_request_is_sent_after_it(pc, line):
    line.free()
    line.fire(3)
    line.request()
    assert line.handled == 1
    assert pc.losses()["collapsed in a pending bit"] == 2


def test_freeing_a_handler_clears_the_affinity_hint(pc):
    one, other = intx_lines(pc, 2)
    one.request(Irqf.SHARED)
    other.request(Irqf.SHARED)
    one.desc.affinity_hint = 0b10
    one.free()
    assert one.desc.affinity_hint == 0


def test_a_line_requested_with_no_autoen_starts_when_it_is_enabled(pc):
    [line] = msix_lines(pc)
    line.request(Irqf.NO_AUTOEN)
    line.fire()
    assert line.handled == 0
    assert not line.desc.dstate & IrqData.IRQ_STARTED

    enable_irq(line.desc)
    assert line.desc.dstate & IrqData.IRQ_STARTED
    assert line.handled == 1


def test_an_msi_line_drops_oneshot(pc):
    [line] = msix_lines(pc)
    line.request(Irqf.ONESHOT)
    assert not line.desc.actions[0].flags & Irqf.ONESHOT


def test_a_chip_that_does_not_know_the_trigger_refuses_the_request(pc):
    class Picky(IrqChip):
        has_set_type = True

        def set_type(self, desc, trigger):
            raise OSError(errno.EINVAL, "only rising edges")

    [desc] = pc.irqs.alloc_descs(1, node=-1)
    IrqDomain("picky", 1).associate(desc, 0, Picky(), None, handle_edge_irq, "edge")
    assert refuses(errno.EINVAL, pc, desc.irq, Irqf.TRIGGER_HIGH)
    assert not desc.actions


def test_a_request_that_finds_no_vector_gets_enospc_and_leaves_no_handler():
    pc = new_pc(1)
    lines = msix_lines(pc, pc.vectors.matrix.global_available + 1)
    for line in lines[:-1]:
        line.request()
    assert refuses(errno.ENOSPC, pc, lines[-1].irq)
    assert not lines[-1].desc.actions


def test_a_handlers_directory_has_its_name_unless_another_has_it(pc):
    pc.irqs.init_irq_proc()
    one, other = intx_lines(pc, 2)
    one.request(Irqf.SHARED, name="same")
    other.request(Irqf.SHARED, name="same")
    assert [action.proc_name for action in one.desc.actions] == ["same", None]


def test_a_new_line_has_the_lowest_free_number(pc):
    first = msix_line(pc, slot=2)
    assert first.irq == 24
    second = msix_line(pc, slot=3)
    assert second.irq == 25

    first.free()
    pc.pci.free(pc.pci.functions["0000:00:02.0"])
    assert pc.irqs.get(first.irq) is None
    assert [line.irq for line in msix_lines(pc, 2, slot=4)] == [26, 27]
    assert msix_line(pc, slot=5).irq == 24
