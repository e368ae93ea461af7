"""A line that every CPU has for itself: one number, and a part for each CPU."""

import errno

import pytest

from pseudokern.irq.flags import ChipFlag, Irqf, IrqReturn, IrqSetting, IrqState
from pseudokern.irq.irqchip import IrqChip
from pseudokern.irq.percpu import (
    disable_percpu_irq,
    enable_percpu_irq,
    free_percpu_irq,
    handle_percpu_devid_irq,
    irq_percpu_is_enabled,
    irq_set_percpu_devid,
    prepare_percpu_nmi,
    request_percpu_irq,
    request_percpu_nmi,
    teardown_percpu_nmi,
)
from tests.machine_parts import log_of, new_pc, on_cpu, software_line

COOKIES = ["a", "b", "c", "d"]


class PercpuChip(IrqChip):
    """A controller that has the line once on each CPU."""

    name = "percpu"
    flags = ChipFlag.SUPPORTS_NMI

    def __init__(self, pc):
        self.pc = pc
        self.open = set()
        self.eois = 0
        self.nmis = set()

    def mask(self, desc):
        self.open.discard(self.pc.kernel.this.cpu)

    def unmask(self, desc):
        self.open.add(self.pc.kernel.this.cpu)

    def eoi(self, desc):
        self.eois += 1

    def nmi_setup(self, desc):
        self.nmis.add(self.pc.kernel.this.cpu)

    def nmi_teardown(self, desc):
        self.nmis.discard(self.pc.kernel.this.cpu)


@pytest.fixture
def chip(pc):
    return PercpuChip(pc)


@pytest.fixture
def desc(pc, chip):
    desc = software_line(pc, chip, handle_percpu_devid_irq)
    irq_set_percpu_devid(desc)
    return desc


def request(pc, desc, calls, cpus=None, cookies=COOKIES):
    def handle(cookie):
        calls.append(cookie)
        return IrqReturn.HANDLED

    return request_percpu_irq(pc.irqs, desc.irq, handle, "percpu", cookies, cpus=cpus)


def test_a_handler_is_given_the_part_of_the_cpu_that_it_runs_on(pc, desc, chip):
    calls = []
    request(pc, desc, calls)
    for cpu in (2, 0, 2):
        with on_cpu(pc, cpu):
            desc.handle_irq(desc)
    assert calls == ["c", "a", "c"]
    assert desc.kstat_irqs == [1, 0, 2, 0]
    assert chip.eois == 3


def test_a_requested_line_is_open_only_on_the_cpus_that_enabled_it(pc, desc, chip):
    request(pc, desc, [])
    assert (desc.depth, chip.open) == (1, set())

    with on_cpu(pc, 1):
        enable_percpu_irq(desc)
        assert irq_percpu_is_enabled(desc)
    with on_cpu(pc, 2):
        assert not irq_percpu_is_enabled(desc)
    assert chip.open == {1}


def test_the_action_is_per_cpu_and_is_not_suspended(pc, desc):
    assert request(pc, desc, []).flags == Irqf.PERCPU | Irqf.NO_SUSPEND


def test_a_line_cannot_be_made_per_cpu_twice(desc):
    with pytest.raises(OSError, match="already") as caught:
        irq_set_percpu_devid(desc)
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize(
    ("cookies", "flags", "setting"),
    [(None, 0, 0), (COOKIES, Irqf.SHARED, 0), (COOKIES, 0, IrqSetting.NOREQUEST)],
)
def test_a_wrong_request_gets_einval(pc, desc, cookies, flags, setting):
    desc.settings |= setting
    with pytest.raises(OSError, match=r"\w") as caught:
        request_percpu_irq(pc.irqs, desc.irq, print, "percpu", cookies, flags=flags)
    assert caught.value.errno == errno.EINVAL


def test_an_ordinary_line_cannot_be_requested_per_cpu(pc, line):
    with pytest.raises(OSError, match="not every CPU") as caught:
        request_percpu_irq(pc.irqs, line.irq, print, "percpu", COOKIES)
    assert caught.value.errno == errno.EINVAL


def test_a_timer_may_say_so(pc, desc):
    request_percpu_irq(pc.irqs, desc.irq, print, "timer", COOKIES, flags=Irqf.TIMER)
    assert desc.actions[0].flags == Irqf.TIMER | Irqf.PERCPU


def percpu_line(kernel):
    pc = new_pc(4, kernel=kernel)
    desc = software_line(pc, PercpuChip(pc), handle_percpu_devid_irq)
    irq_set_percpu_devid(desc)
    return pc, desc


def test_handlers_on_disjoint_cpus_share_a_line_in_linux_6_18():
    pc, desc = percpu_line("6.18")
    low, high = [], []
    request(pc, desc, low, cpus=0b0011)
    request(pc, desc, high, cpus=0b1100, cookies=list(COOKIES))
    with on_cpu(pc, 3):
        desc.handle_irq(desc)
    assert (low, high) == ([], ["d"])


def test_handlers_of_a_per_cpu_line_never_share_it_in_linux_6_12():
    pc, desc = percpu_line("6.12")
    request(pc, desc, [], cpus=0b0011)
    with pytest.raises(OSError, match="not shared") as caught:
        request(pc, desc, [], cpus=0b1100, cookies=list(COOKIES))
    assert caught.value.errno == errno.EBUSY


def test_handlers_that_want_the_same_cpu_do_not_share():
    pc, desc = percpu_line("6.18")
    request(pc, desc, [], cpus=0b0011)
    with pytest.raises(OSError, match="taken") as caught:
        request(pc, desc, [], cpus=0b0110, cookies=list(COOKIES))
    assert caught.value.errno == errno.EINVAL
    text = f"genirq: Overlapping affinities for percpu (irq {desc.irq}) on irqchip percpu."
    assert log_of(pc)[-1] == text


def test_a_line_that_nobody_wants_is_stopped_and_told_of_once(pc, desc, chip):
    with on_cpu(pc, 3):
        enable_percpu_irq(desc)
        desc.handle_irq(desc)
        desc.handle_irq(desc)
    assert chip.open == set()
    spurious = [text for text in log_of(pc) if text.startswith("Spurious")]
    assert spurious == [f"Spurious and unmasked percpu IRQ{desc.irq} on CPU3"]


def test_a_line_is_freed_when_every_cpu_has_disabled_it(pc, desc):
    request(pc, desc, [])
    with on_cpu(pc, 2):
        enable_percpu_irq(desc)
    assert free_percpu_irq(desc, COOKIES) is None
    assert f"percpu IRQ {desc.irq} still enabled on CPU2!" in log_of(pc)

    with on_cpu(pc, 2):
        disable_percpu_irq(desc)
    assert free_percpu_irq(desc, COOKIES) is not None
    assert free_percpu_irq(desc, COOKIES) is None
    assert f"Trying to free already-free IRQ {desc.irq}" in log_of(pc)


def test_a_per_cpu_nmi_is_prepared_by_each_cpu(pc, desc, chip):
    request_percpu_nmi(pc.irqs, desc.irq, lambda _: IrqReturn.HANDLED, "pmu", COOKIES)
    assert desc.istate & IrqState.NMI
    with on_cpu(pc, 1):
        prepare_percpu_nmi(desc)
        assert chip.nmis == {1}
        teardown_percpu_nmi(desc)
    assert chip.nmis == set()


def test_a_second_per_cpu_nmi_on_a_line_gets_einval(pc, desc):
    request_percpu_nmi(pc.irqs, desc.irq, print, "pmu", COOKIES)
    with pytest.raises(OSError, match="NMI") as caught:
        request_percpu_nmi(pc.irqs, desc.irq, print, "pmu", COOKIES)
    assert caught.value.errno == errno.EINVAL


def test_what_is_no_nmi_cannot_be_prepared(pc, desc):
    request(pc, desc, [])
    with pytest.raises(OSError, match="no NMI"):
        prepare_percpu_nmi(desc)
    text = f"prepare_percpu_nmi called for a non-NMI interrupt: irq {desc.irq}"
    assert text in log_of(pc)
