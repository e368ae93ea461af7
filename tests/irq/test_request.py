"""Who may request a line, who may share it, and what the log says of those who may not."""

import errno

import pytest

from pseudokern.irq.chip import handle_edge_irq
from pseudokern.irq.desc import Irq
from pseudokern.irq.domain import IrqDomain
from pseudokern.irq.flags import IrqData, Irqf, IrqReturn, IrqSetting, Trigger
from pseudokern.irq.irqchip import IrqChip
from pseudokern.irq.manage import enable_irq, record_default_trigger
from pseudokern.irq.request import (
    IRQ_NOTCONNECTED,
    IrqContext,
    free_irq,
    request_any_context_irq,
    request_irq,
)
from tests.machine_parts import (
    intx_lines,
    log_of,
    msix_line,
    msix_lines,
    new_pc,
    requested,
    software_line,
)


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


def test_a_line_that_may_not_be_requested_gets_einval(pc):
    [line] = msix_lines(pc)
    line.desc.settings |= IrqSetting.NOREQUEST
    assert refuses(errno.EINVAL, pc, line.irq)


def test_a_line_that_every_cpu_has_for_itself_gets_einval_and_a_warning(pc):
    [line] = msix_lines(pc)
    line.desc.settings |= IrqSetting.PER_CPU_DEVID
    assert refuses(errno.EINVAL, pc, line.irq)
    assert any(text.startswith("WARNING: CPU: 0 PID: 0 at kernel/irq") for text in log_of(pc))


def test_neither_a_handler_nor_a_thread_function_gets_einval(pc):
    [line] = msix_lines(pc)
    with pytest.raises(OSError, match="neither a handler") as caught:
        request_irq(pc.irqs, line.irq, None, 0, "test", "me")
    assert caught.value.errno == errno.EINVAL


def test_a_nested_line_without_a_thread_function_gets_einval(pc):
    desc = software_line(pc, IrqChip(), settings=IrqSetting.NESTED_THREAD)
    assert refuses(errno.EINVAL, pc, desc.irq)


class Scarce(IrqChip):
    """A chip that has resources for one line at a time."""

    name = "scarce"

    def __init__(self, left: int) -> None:
        self.left = left

    def request_resources(self, desc):
        if not self.left:
            raise OSError(errno.EBUSY, "none left")
        self.left -= 1

    def release_resources(self, desc):
        self.left += 1


def test_a_chip_without_resources_refuses_with_its_own_errno_and_is_named_in_the_log(pc):
    desc = software_line(pc, Scarce(0))
    assert refuses(errno.EBUSY, pc, desc.irq)
    assert log_of(pc)[-1] == (
        f"genirq: Failed to request resources for test (irq {desc.irq}) on irqchip scarce"
    )


def test_resources_are_taken_by_the_first_handler_and_given_back_by_the_last(pc):
    chip = Scarce(1)
    desc = software_line(pc, chip)
    request_irq(pc.irqs, desc.irq, lambda: IrqReturn.HANDLED, Irqf.SHARED, "one", "one")
    request_irq(pc.irqs, desc.irq, lambda: IrqReturn.HANDLED, Irqf.SHARED, "two", "two")
    assert chip.left == 0

    free_irq(desc, "one")
    assert chip.left == 0
    free_irq(desc, "two")
    assert chip.left == 1


def test_a_request_that_fails_later_gives_the_resources_back(pc):
    chip = Scarce(1)
    desc = software_line(pc, chip)
    with pytest.raises(OSError, match="needs ONESHOT"):
        request_irq(pc.irqs, desc.irq, None, 0, "test", "me", thread_fn=lambda: None)
    assert chip.left == 1


def test_a_thread_alone_needs_oneshot_and_the_log_says_so(pc):
    desc = software_line(pc, IrqChip())
    with pytest.raises(OSError, match="needs ONESHOT") as caught:
        request_irq(pc.irqs, desc.irq, None, 0, "test", "me", thread_fn=lambda: None)
    assert caught.value.errno == errno.EINVAL
    assert log_of(pc)[-1] == (
        f"genirq: Threaded irq requested with handler=NULL and !ONESHOT for test (irq {desc.irq})"
    )


def test_a_thread_alone_on_a_taken_line_is_told_of_the_mismatch_first(pc):
    desc = software_line(pc, IrqChip())
    request_irq(pc.irqs, desc.irq, lambda: IrqReturn.HANDLED, 0, "one", "one")
    with pytest.raises(OSError, match="not shared") as caught:
        request_irq(pc.irqs, desc.irq, None, 0, "two", "two", thread_fn=lambda: None)
    assert caught.value.errno == errno.EBUSY


def test_64_oneshot_handlers_share_a_line_and_a_65th_gets_ebusy(pc):
    desc = software_line(pc, IrqChip())
    flags = Irqf.SHARED | Irqf.ONESHOT
    for number in range(64):
        request_irq(pc.irqs, desc.irq, lambda: IrqReturn.NONE, flags, "many", number)
    assert {action.thread_mask for action in desc.actions} == {1 << n for n in range(64)}
    assert refuses(errno.EBUSY, pc, desc.irq, flags)

    free_irq(desc, 17)
    action = request_irq(pc.irqs, desc.irq, lambda: IrqReturn.NONE, flags, "many", "me")
    assert action.thread_mask == 1 << 17


def test_oneshot_without_a_thread_is_told_of_once_by_linux_6_18():
    for kernel, warnings in (("6.12", 0), ("6.18", 1)):
        pc = new_pc(1, kernel=kernel)
        for _ in range(2):
            desc = software_line(pc, IrqChip())
            request_irq(pc.irqs, desc.irq, lambda: IrqReturn.NONE, Irqf.ONESHOT, "test")
        assert sum(text.startswith("WARNING: ") for text in log_of(pc)) == warnings


def test_an_any_context_request_says_where_the_handler_is_called(pc):
    nested = software_line(pc, IrqChip(), settings=IrqSetting.NESTED_THREAD)
    plain = software_line(pc, IrqChip())

    def handle():
        return IrqReturn.HANDLED

    assert request_any_context_irq(pc.irqs, plain.irq, handle, 0, "x") is IrqContext.HARDIRQ
    assert request_any_context_irq(pc.irqs, nested.irq, handle, 0, "x") is IrqContext.NESTED
    assert nested.actions[0].thread_fn is handle
    with pytest.raises(OSError, match="no interrupt") as caught:
        request_any_context_irq(pc.irqs, IRQ_NOTCONNECTED, handle, 0, "x")
    assert caught.value.errno == errno.ENOTCONN


def test_another_trigger_on_a_line_that_has_one_is_refused_with_the_flags_of_both(pc):
    desc = software_line(pc, Anything())
    record_default_trigger(desc, Trigger.LEVEL_HIGH)
    request_irq(pc.irqs, desc.irq, lambda: IrqReturn.NONE, 0x84, "one", "one")
    assert refuses(errno.EBUSY, pc, desc.irq, 0x88)
    assert log_of(pc)[-1] == (
        f"genirq: Flags mismatch irq {desc.irq}. 00000088 (test) vs. 00000084 (one)"
    )


class Anything(IrqChip):
    """A chip that knows every trigger."""

    has_set_type = True


def test_the_second_handler_says_what_a_line_without_a_default_trigger_is(pc):
    desc = software_line(pc, Anything())
    request_irq(pc.irqs, desc.irq, lambda: IrqReturn.NONE, 0x84, "one", "one")
    request_irq(pc.irqs, desc.irq, lambda: IrqReturn.NONE, 0x88, "two", "two")
    assert desc.trigger == Trigger.LEVEL_LOW
    assert refuses(errno.EBUSY, pc, desc.irq, 0x84)


def test_a_handler_without_a_trigger_takes_over_that_of_the_line(pc):
    desc = software_line(pc, Anything())
    request_irq(pc.irqs, desc.irq, lambda: IrqReturn.NONE, 0x84, "one", "one")
    action = request_irq(pc.irqs, desc.irq, lambda: IrqReturn.NONE, Irqf.SHARED, "two", "two")
    assert action.flags == 0x84


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


def test_freeing_a_handler_clears_the_affinity_hint_and_tells_of_it_once(pc):
    lines = intx_lines(pc, 3)
    requested(lines)
    for line in lines[:2]:
        line.desc.affinity_hint = 0b10
        line.free()
        assert line.desc.affinity_hint == 0
    assert sum(text.startswith("WARNING: ") for text in log_of(pc)) == 1


def test_freeing_in_an_interrupt_is_told_of_and_done(pc):
    one, other = intx_lines(pc, 2)
    requested([one, other])
    one.on_interrupt = lambda: other.free() or one.let_go()
    one.fire()
    assert f"Trying to free IRQ {one.irq} from IRQ context!" in log_of(pc)
    assert len(one.desc.actions) == 1


def test_the_last_handler_that_goes_makes_disabling_lazy_again(pc, line):
    line.desc.settings |= IrqSetting.DISABLE_UNLAZY
    line.free()
    assert not line.desc.settings & IrqSetting.DISABLE_UNLAZY


def test_a_per_cpu_line_is_not_freed_as_any_other(pc):
    desc = software_line(pc, IrqChip(), settings=IrqSetting.PER_CPU_DEVID)
    assert free_irq(desc, "me") is None
    assert any(text.startswith("WARNING: ") for text in log_of(pc))


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
    text = f"genirq: Setting trigger mode 4 for irq {desc.irq} failed (set_type+0x0/0x30)"
    assert log_of(pc)[-1] == text


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
