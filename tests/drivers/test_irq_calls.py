"""A device asks the interrupt core for things by the number of the interrupt."""

import errno

import pytest

from pseudokern.drivers.device import Device, Irqf, IrqReturn
from pseudokern.irq.chip import handle_simple_irq
from pseudokern.irq.desc import Irq
from pseudokern.irq.flags import ChipFlag, Trigger
from pseudokern.irq.irqchip import IrqChip
from pseudokern.irq.notify import AffinityNotifier
from pseudokern.irq.percpu import handle_percpu_devid_irq, irq_set_percpu_devid
from pseudokern.irq.request import IrqContext
from tests.machine_parts import log_of, new_pc, on_cpu, run_for, software_line

IRQ = Irq(10)


@pytest.fixture
def device():
    device = Device(new_pc(4), "lab0", {})
    device.calls = 0
    return device


def handle(device):
    def handler():
        device.calls += 1
        return IrqReturn.HANDLED

    return handler


def test_a_line_can_be_disabled_and_enabled_by_its_device(device):
    device.request_irq(IRQ, handle(device), name="lab")
    device.disable_irq(IRQ)
    device.disable_irq_nosync(IRQ)
    assert device.disable_hardirq(IRQ)
    device.pulse(IRQ)
    run_for(device.pc, 1_000_000)
    assert device.calls == 0

    for _ in range(3):
        device.enable_irq(IRQ)
    run_for(device.pc, 1_000_000)
    assert device.calls == 1


def test_a_thread_of_a_device_can_wait_for_its_line(device):
    device.request_irq(IRQ, handle(device), name="lab")
    waited = []

    async def body():
        await device.synchronize_irq(IRQ)
        waited.append(True)

    device.pc.irqs.kthreads.create("lab", body())
    run_for(device.pc, 1_000_000)
    assert waited == [True]


def test_a_device_moves_its_line_and_hears_of_it(device):
    masks = []
    device.request_irq(IRQ, handle(device), name="lab")
    device.irq_set_affinity_notifier(IRQ, AffinityNotifier(masks.append))
    device.irq_set_affinity_and_hint(IRQ, 0b10)
    run_for(device.pc, 1_000_000)
    device.irq_set_affinity(IRQ, 0b100)
    run_for(device.pc, 1_000_000)
    assert masks == [0b10, 0b100]
    assert device.pc.irqs[IRQ].affinity_hint == 0b10

    device.irq_update_affinity_hint(IRQ, 0)
    device.irq_set_affinity_notifier(IRQ, None)
    device.free_irq(IRQ)
    assert not any(text.startswith("WARNING: ") for text in log_of(device.pc))
    assert not device.pc.irqs[IRQ].actions


def test_a_device_that_goes_frees_what_it_has_not_freed_itself(device):
    device.request_irq(IRQ, handle(device), name="lab")
    device.request_irq(Irq(11), handle(device), name="lab")
    device.free_irq(IRQ)
    device.free_irqs()
    assert not device.pc.irqs[Irq(11)].actions
    assert not any("already-free" in text for text in log_of(device.pc))


def test_an_any_context_request_is_freed_with_the_device(device):
    context = device.request_any_context_irq(IRQ, handle(device), name="lab")
    assert context is IrqContext.HARDIRQ
    device.free_irqs()
    assert not device.pc.irqs[IRQ].actions


def test_a_line_of_every_cpu_and_one_that_is_an_nmi_are_requested_by_a_device(device):
    class Chip(IrqChip):
        flags = ChipFlag.SUPPORTS_NMI

        def nmi_setup(self, desc):
            """It can."""

    percpu = software_line(device.pc, Chip(), handle_percpu_devid_irq)
    irq_set_percpu_devid(percpu)
    seen = []
    device.request_percpu_irq(percpu.irq, seen.append, list("abcd"), name="pmu")
    with on_cpu(device.pc, 2):
        percpu.handle_irq(percpu)
    assert seen == ["c"]

    nmi = software_line(device.pc, Chip(), handle_simple_irq)
    assert device.request_nmi(nmi.irq, handle(device), name="nmi").flags & Irqf.NO_THREAD


def test_trigger_and_wake_are_asked_of_the_controller(device):
    class Chip(IrqChip):
        has_set_type = True

    desc = software_line(device.pc, Chip())
    device.irq_set_irq_type(desc.irq, Trigger.LEVEL_LOW)
    assert desc.trigger == Trigger.LEVEL_LOW
    with pytest.raises(OSError, match="wake") as refused:
        device.irq_set_irq_wake(desc.irq, True)
    assert refused.value.errno == errno.ENXIO


def test_a_number_that_nobody_has_is_einval(device):
    with pytest.raises(OSError, match="no interrupt 999") as refused:
        device.enable_irq(Irq(999))
    assert refused.value.errno == errno.EINVAL
