"""NMIs come through whatever IF says, one at a time, and somebody has to own up to them."""

import pytest

from pseudokern.hw.cpu import TrapFrame
from pseudokern.irq.flags import IrqReturn
from pseudokern.kernel.context import in_nmi, irqs_disabled, local_irq_disable, preempt_count
from pseudokern.kernel.delay import mdelay, udelay
from pseudokern.kernel.panic import KernelPanicError
from pseudokern.x86.nmi import REASON_IOCHK, REASON_SERR, NmiType
from tests.machine_parts import MS, at, log_of, msix_line, new_pc, run_for

DAZED = "Dazed and confused, but trying to continue"


@pytest.fixture
def pc():
    return new_pc(4)


@pytest.fixture
def nmis(pc):
    return pc.entry.nmis


def runs(pc):
    return [this.counts.nmi for this in pc.kernel.cpus]


def handle(nmis, action=lambda: 1):
    """Have an NMI handler that calls action, and answers what that returns."""

    def watch(_this):
        return action()

    nmis.register(NmiType.LOCAL, "watch", watch)


def test_an_nmi_that_nobody_sent_dazes_the_kernel(pc):
    pc.cpus[2].nmi()
    assert runs(pc) == [0, 0, 1, 0]
    assert log_of(pc)[-2:] == ["Uhhuh. NMI received for unknown reason 00 on CPU 2.", DAZED]


def test_an_nmi_comes_while_interrupts_are_off_and_while_a_handler_runs(pc, nmis):
    line, seen = msix_line(pc), []
    handle(nmis, lambda: (seen.append(preempt_count(pc.kernel)), 1)[1])
    pc.kernel.this = pc.kernel.cpus[0]
    local_irq_disable(pc.kernel)
    pc.cpus[0].nmi()
    line.on_interrupt = lambda: (pc.cpus[line.cpu].nmi(), IrqReturn.HANDLED)[1]
    line.fire()
    assert [hex(count) for count in seen] == ["0x110000", "0x120000"]


def test_the_context_of_an_nmi_is_known(pc, nmis):
    seen = []
    handle(nmis, lambda: (seen.append((in_nmi(pc.kernel), irqs_disabled(pc.kernel))), 1)[1])
    pc.cpus[1].nmi()
    assert seen == [(True, True)]


def test_nmi_during_nmi_during_nmi_makes_two_runs_in_total(pc, nmis):
    depth = []

    def arrive():
        depth.append(len(depth))
        if len(depth) == 1:
            pc.cpus[0].nmi()
            pc.cpus[0].nmi()
        return 1

    handle(nmis, arrive)
    pc.cpus[0].nmi()
    assert runs(pc)[0] == 1
    run_for(pc, MS)
    assert runs(pc)[0] == 2


def test_nmis_that_arrive_while_the_handler_s_time_runs_become_one(pc, nmis):
    handle(nmis, lambda: (udelay(pc.kernel, 10), 1)[1])
    for time_ns in (1_000, 3_000, 5_000, 7_000):
        at(pc, time_ns, pc.cpus[0].nmi)
    run_for(pc, 11_000)
    assert runs(pc)[0] == 1
    run_for(pc, MS)
    assert runs(pc)[0] == 2
    assert pc.cpus[0].nmi_pin.collapsed == 2


def test_an_exception_in_the_handler_lets_the_next_nmi_in_and_the_kernel_s_own_latch_holds_it(
    pc, nmis
):
    running, most = [], []

    def fault():
        running.append(1)
        most.append(len(running))
        if len(most) == 1:
            pc.cpus[0].nmi()
            pc.cpus[0].nmi()
            # int 0x80 does nothing, but its IRET opens the CPU's input.
            pc.cpus[0].software_interrupt(0x80, TrapFrame())
        running.pop()
        return 1

    handle(nmis, fault)
    pc.cpus[0].nmi()
    run_for(pc, MS)
    assert most == [1, 1]
    assert runs(pc)[0] == 2


def test_interrupts_wait_until_an_nmi_is_over(pc, nmis):
    line = msix_line(pc)
    handle(nmis, lambda: (mdelay(pc.kernel, 2), 1)[1])
    pc.cpus[line.cpu].nmi()
    run_for(pc, MS)
    line.signal()
    assert line.handled == 0
    run_for(pc, 2 * MS)
    assert line.handled == 1


def test_a_second_nmi_that_the_first_has_dealt_with_is_swallowed(pc, nmis):
    answers = iter([2, 0])

    def two_reasons():
        answer = next(answers)
        if answer == 2:
            pc.cpus[0].nmi()
        return answer

    handle(nmis, two_reasons)
    pc.cpus[0].nmi()
    run_for(pc, MS)
    assert runs(pc)[0] == 2
    assert not any("Uhhuh" in line for line in log_of(pc))


def test_a_later_nmi_is_not_swallowed(pc, nmis):
    answers = iter([2, 0])
    handle(nmis, lambda: next(answers))
    pc.cpus[0].nmi()
    run_for(pc, MS)
    pc.cpus[0].nmi()
    assert log_of(pc)[-1] == DAZED


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (REASON_SERR, "NMI: PCI system error (SERR) for reason 80 on CPU 0."),
        (REASON_IOCHK, "NMI: IOCK error (debug interrupt?) for reason 40 on CPU 0."),
    ],
)
def test_the_board_s_errors_are_told_of_and_cleared(pc, nmis, reason, text):
    nmis.reason = reason
    pc.cpus[0].nmi()
    assert text in log_of(pc)
    assert not any("Uhhuh" in line for line in log_of(pc))
    assert nmis.reason == 0


def test_what_an_nmi_prints_shows_the_stack_of_nmis(pc, nmis):
    nmis.reason = REASON_IOCHK
    pc.cpus[0].nmi()
    shown = [line.split("+")[0] for line in log_of(pc)]
    begin, end = shown.index(" <NMI>"), shown.index(" </NMI>")
    assert shown[begin:end][-2:] == [" exc_nmi", " end_repeat_nmi"]
    assert " <IRQ>" not in shown


@pytest.mark.parametrize(
    ("setting", "reason", "text"),
    [
        ("unknown_nmi_panic", 0, "NMI: Not continuing"),
        ("panic_on_unrecovered_nmi", 0, "NMI: Not continuing"),
        ("panic_on_unrecovered_nmi", REASON_SERR, "NMI: Not continuing"),
        ("panic_on_io_nmi", REASON_IOCHK, "NMI IOCK error: Not continuing"),
    ],
)
def test_an_nmi_ends_the_machine_if_it_shall(pc, nmis, setting, reason, text):
    nmis.settings = nmis.settings._replace(**{setting: 1})
    nmis.reason = reason
    with pytest.raises(KernelPanicError):
        pc.cpus[0].nmi()
    assert f"Kernel panic - not syncing: {text}" in log_of(pc)
    assert DAZED not in log_of(pc)


def test_a_handler_is_told_of_when_it_is_slower_than_a_millisecond_and_than_ever_before(pc, nmis):
    times_us = iter([900, 1_500, 1_200, 2_250])
    handle(nmis, lambda: (udelay(pc.kernel, next(times_us)), 1)[1])
    for _ in range(4):
        pc.cpus[0].nmi()
        run_for(pc, 10 * MS)
    assert [line for line in log_of(pc) if line.startswith("INFO")] == [
        "INFO: NMI handler (watch) took too long to run: 1.500 msecs",
        "INFO: NMI handler (watch) took too long to run: 2.250 msecs",
    ]


def test_ten_unknown_nmis_in_five_seconds_are_told_of(pc):
    for _ in range(12):
        pc.cpus[0].nmi()
        run_for(pc, MS)
    assert sum("Uhhuh" in line for line in log_of(pc)) == 10
    assert runs(pc)[0] == 12
