"""What the kernel's own unit tests of its interrupt core assert: kernel/irq/irq_test.c.

They run on a chip that does nothing, and have the names that they have there.
"""

import pytest

from pseudokern.irq.chip import handle_simple_irq
from pseudokern.irq.flags import ChipFlag, IrqData, IrqReturn
from pseudokern.irq.irqchip import IrqChip
from pseudokern.irq.manage import (
    disable_irq,
    enable_irq,
    irq_domain_activate_irq,
    irq_shutdown_and_deactivate,
    irq_startup_managed,
)
from pseudokern.irq.request import free_irq, request_irq
from tests.machine_parts import log_of, new_pc


class FakeChip(IrqChip):
    name = "fake"
    flags = ChipFlag.SKIP_SET_WAKE
    can_set_affinity = True

    def set_affinity(self, desc, mask):
        desc.effective_affinity = mask


def fake_irq(pc, managed_mask=None):
    affinities = None if managed_mask is None else [(managed_mask, True)]
    [desc] = pc.irqs.alloc_descs(1, -1, affinities)
    desc.chip = FakeChip()
    desc.handle_irq = handle_simple_irq
    return desc


def request(pc, desc):
    request_irq(pc.irqs, desc.irq, lambda: IrqReturn.HANDLED, 0, "test_irq")


def is_up(desc):
    """Activated and started; both or neither."""
    activated = bool(desc.dstate & IrqData.ACTIVATED)
    assert activated == bool(desc.dstate & IrqData.IRQ_STARTED)
    return activated


@pytest.fixture(params=["6.12", "6.18"])
def pc(request):
    return new_pc(4, kernel=request.param)


def test_irq_disable_depth_test(pc):
    desc = fake_irq(pc)
    request(pc, desc)
    assert desc.depth == 0

    disable_irq(desc)
    assert desc.depth == 1
    enable_irq(desc)
    assert desc.depth == 0
    free_irq(desc, None)


def test_irq_free_disabled_test(pc):
    desc = fake_irq(pc)
    request(pc, desc)
    disable_irq(desc)
    assert desc.depth == 1

    free_irq(desc, None)
    assert desc.depth >= 1
    request(pc, desc)
    assert desc.depth == 0
    free_irq(desc, None)


def test_irq_shutdown_depth_test():
    pc = new_pc(4, kernel="6.18")
    desc = fake_irq(pc, pc.kernel.possible)
    request(pc, desc)
    assert is_up(desc)
    assert desc.is_managed
    assert desc.depth == 0

    disable_irq(desc)
    assert desc.depth == 1
    irq_shutdown_and_deactivate(desc)
    assert not is_up(desc)

    irq_domain_activate_irq(desc)
    irq_startup_managed(desc)
    assert desc.depth == 1
    enable_irq(desc)
    assert desc.depth == 0
    free_irq(desc, None)


def test_irq_cpuhotplug_test():
    pc = new_pc(4, kernel="6.18")
    desc = fake_irq(pc, 0b0010)
    request(pc, desc)
    assert is_up(desc)
    disable_irq(desc)
    assert desc.depth == 1

    pc.hotplug.down(1)
    assert not is_up(desc)
    assert desc.depth >= 1
    pc.hotplug.up(1)
    assert not is_up(desc)
    assert desc.depth == 1

    enable_irq(desc)
    assert is_up(desc)
    assert desc.depth == 0
    free_irq(desc, None)


def test_before_6_16_a_managed_line_forgot_that_its_driver_had_disabled_it():
    pc = new_pc(4, kernel="6.12")
    desc = fake_irq(pc, 0b0010)
    request(pc, desc)
    disable_irq(desc)
    pc.hotplug.down(1)
    pc.hotplug.up(1)
    assert is_up(desc)
    assert desc.depth == 0

    enable_irq(desc)
    assert f"Unbalanced enable for IRQ {desc.irq}" in log_of(pc)


def test_enabling_a_managed_line_without_a_cpu_is_told_of_and_leaves_it_down(pc):
    desc = fake_irq(pc, 0b0010)
    request(pc, desc)
    pc.hotplug.down(1)
    enable_irq(desc)
    assert not is_up(desc)
    assert desc.depth == 1
    assert any(text.startswith("WARNING: ") for text in log_of(pc))

    pc.hotplug.up(1)
    assert is_up(desc)
