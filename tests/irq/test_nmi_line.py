"""A line that a controller delivers as an NMI: its only handler, disabled until it is enabled."""

import errno

import pytest

from pseudokern.irq.flags import ChipFlag, Irqf, IrqReturn, IrqState
from pseudokern.irq.irqchip import IrqChip
from pseudokern.irq.manage import enable_irq, irq_set_irq_wake
from pseudokern.irq.nmi import free_nmi, handle_fasteoi_nmi, request_nmi
from pseudokern.irq.notify import AffinityNotifier, irq_set_affinity_notifier
from pseudokern.irq.request import request_irq
from pseudokern.irq.resend import irq_inject_interrupt
from tests.machine_parts import log_of, msix_lines, software_line

FLAGS = Irqf.PERCPU | Irqf.NO_AUTOEN


class NmiChip(IrqChip):
    """A controller that can deliver its lines as NMIs, as long as `works`."""

    name = "nmi-chip"
    flags = ChipFlag.SUPPORTS_NMI | ChipFlag.SKIP_SET_WAKE
    works = True
    delivers_nmi = False

    def nmi_setup(self, desc):
        if not self.works:
            raise OSError(errno.ENXIO, "broken")
        self.delivers_nmi = True

    def nmi_teardown(self, desc):
        self.delivers_nmi = False


def handle():
    return IrqReturn.HANDLED


@pytest.fixture
def desc(pc):
    return software_line(pc, NmiChip(), handle_fasteoi_nmi)


def test_an_nmi_starts_disabled_and_is_not_judged(pc, desc):
    request_nmi(pc.irqs, desc.irq, lambda: IrqReturn.NONE, FLAGS, "watchdog", "me")
    assert (desc.depth, desc.chip.delivers_nmi) == (1, True)
    assert desc.actions[0].flags == FLAGS | Irqf.NO_THREAD | Irqf.NOBALANCING

    enable_irq(desc)
    desc.handle_irq(desc)
    assert (desc.total, desc.irqs_unhandled) == (1, 0)


@pytest.mark.parametrize(
    "flags",
    [
        FLAGS | Irqf.SHARED,
        FLAGS | Irqf.COND_SUSPEND,
        FLAGS | Irqf.IRQPOLL,
        Irqf.NO_AUTOEN,
        Irqf.PERCPU,
    ],
)
def test_flags_that_an_nmi_cannot_have_get_einval(pc, desc, flags):
    with pytest.raises(OSError, match=r"\w") as caught:
        request_nmi(pc.irqs, desc.irq, handle, flags, "watchdog", "me")
    assert caught.value.errno == errno.EINVAL


def test_a_chip_behind_another_one_has_no_nmis(pc):
    [line] = msix_lines(pc)
    with pytest.raises(OSError, match="as an NMI") as caught:
        request_nmi(pc.irqs, line.irq, handle, FLAGS, "watchdog", "me")
    assert caught.value.errno == errno.EINVAL


def test_a_chip_that_fails_to_set_it_up_leaves_no_handler(pc, desc):
    desc.chip.works = False
    with pytest.raises(OSError, match="not made an NMI") as caught:
        request_nmi(pc.irqs, desc.irq, handle, FLAGS, "watchdog", "me")
    assert caught.value.errno == errno.EINVAL
    assert not desc.actions
    assert not desc.istate & IrqState.NMI


def test_nobody_shares_an_nmi(pc, desc):
    request_nmi(pc.irqs, desc.irq, handle, FLAGS, "watchdog", "me")
    with pytest.raises(OSError, match="nobody shares") as caught:
        request_irq(pc.irqs, desc.irq, handle, Irqf.SHARED, "other", "other")
    assert caught.value.errno == errno.EINVAL
    assert log_of(pc)[-1] == (
        f"genirq: Invalid attempt to share NMI for other (irq {desc.irq}) on irqchip nmi-chip."
    )


def test_an_nmi_is_freed_even_if_it_was_not_disabled_and_that_is_told(pc, desc):
    request_nmi(pc.irqs, desc.irq, handle, FLAGS, "watchdog", "me")
    enable_irq(desc)
    assert free_nmi(desc) is not None
    assert any(text.startswith("WARNING: ") for text in log_of(pc))
    assert not desc.chip.delivers_nmi
    assert not desc.actions


def test_what_is_no_nmi_is_not_freed_as_one(pc, line):
    assert free_nmi(line.desc) is None
    assert line.desc.actions


def test_an_nmi_wakes_nobody_tells_nobody_and_cannot_be_injected(pc, desc):
    request_nmi(pc.irqs, desc.irq, handle, FLAGS, "watchdog", "me")
    for refused in (
        lambda: irq_set_irq_wake(desc, True),
        lambda: irq_set_affinity_notifier(desc, AffinityNotifier(print)),
        lambda: irq_inject_interrupt(desc),
    ):
        with pytest.raises(OSError, match="NMI") as caught:
            refused()
        assert caught.value.errno == errno.EINVAL
