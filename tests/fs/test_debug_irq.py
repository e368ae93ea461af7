"""sys/kernel/debug/irq says what Linux says, to the blank."""

import errno

import pytest

from pseudokern.irq.desc import Irq
from pseudokern.irq.manage import disable_irq, irq_set_affinity

IRQS = "/sys/kernel/debug/irq/irqs"
DOMAINS = "/sys/kernel/debug/irq/domains"

NO_CPU = ""
KEYBOARD = f"""\
handler:  handle_edge_irq
device:   (null)
status:   0x00000000
istate:   0x00000000
ddepth:   0
wdepth:   0
dstate:   0x1d400200
            IRQD_ACTIVATED
            IRQD_IRQ_STARTED
            IRQD_SINGLE_TARGET
            IRQD_AFFINITY_ON_ACTIVATE
            IRQD_CAN_RESERVE
            IRQD_HANDLE_ENFORCE_IRQCTX
node:     0
affinity: 0-3
effectiv: 3
pending:  {NO_CPU}
domain:  IO-APIC-0
 hwirq:   0x1
 chip:    IO-APIC
  flags:   0x410
             IRQCHIP_SKIP_SET_WAKE
 parent:
    domain:  VECTOR
     hwirq:   0x1
     chip:    APIC
      flags:   0x0
     Vector:    32
     Target:     3
     move_in_progress: 0
     is_managed:       0
     can_reserve:      1
     has_reserved:     0
     cleanup_pending:  0
"""


def test_line_of_the_ioapic_shows_its_state_and_both_of_its_domains(boot):
    assert boot("q4").read(f"{IRQS}/1").decode() == KEYBOARD


def test_message_has_its_function_as_device_and_an_oneshot_safe_chip(boot):
    lines = boot("q4").read(f"{IRQS}/24").decode().splitlines()

    assert lines[1] == "device:   0000:00:03.0"
    domain = lines.index("domain:  PCI-MSIX-0000:00:03.0-12")
    assert lines[domain + 1 : domain + 6] == [
        " hwirq:   0x0",
        " chip:    PCI-MSIX-0000:00:03.0",
        "  flags:   0x430",
        "             IRQCHIP_SKIP_SET_WAKE",
        "             IRQCHIP_ONESHOT_SAFE",
    ]


def test_cascade_is_in_no_domain(boot):
    shown = boot("q4").read(f"{IRQS}/2").decode()

    assert shown.endswith("domain:  \n hwirq:   0x0\n chip:    XT-PIC\n  flags:   0x0\n")


def test_pending_move_shows_in_the_mask_and_in_the_flags(boot):
    files = boot("q4")
    irq_set_affinity(files.machine.irqs[Irq(1)], 1)
    shown = files.read(f"{IRQS}/1").decode()

    assert "affinity: 0-3\neffectiv: 3\npending:  0\n" in shown
    assert "            IRQD_AFFINITY_SET\n            IRQD_SETAFFINITY_PENDING\n" in shown


def test_old_vector_shows_until_it_is_cleaned_up(boot):
    files = boot("q4")
    irq_set_affinity(files.machine.irqs[Irq(1)], 1)
    files.write(f"{IRQS}/1", "trigger\n")
    files.run_for(10_000)

    moved = files.read(f"{IRQS}/1").decode()
    assert "     Vector:    40\n     Target:     0\n     Previous vector:    32\n" in moved
    assert "     Previous target:     3\n     move_in_progress: 1\n" in moved


def test_disabled_line_shows_its_depth(boot):
    files = boot("q4")
    disable_irq(files.machine.irqs[Irq(1)])
    disable_irq(files.machine.irqs[Irq(1)])
    shown = files.read(f"{IRQS}/1").decode()

    assert "ddepth:   2\n" in shown
    assert "            IRQD_IRQ_DISABLED\n" in shown


def test_linux_6_18_says_that_the_chip_defers_moves(boot):
    assert "  flags:   0x1410\n" in boot("q4", kernel="6.18").read(f"{IRQS}/1").decode()


def test_linux_6_1_has_one_domain_for_all_messages(boot):
    files = boot("q4", kernel="6.1")
    shown = files.read(f"{IRQS}/24").decode()

    assert "domain:  PCI-MSI-3\n hwirq:   0xc000\n chip:    PCI-MSI\n" in shown
    assert "dstate:   0x35400200\n" in shown
    names = [name for name, _ in files.tree.readdir(DOMAINS)]
    assert names == ["default", "IO-APIC-0", "PCI-MSI-3", "VECTOR"]
    messages = sum(len(f.irqs) for f in files.machine.pc.pci.functions.values())
    start = f"name:   PCI-MSI-3\n size:   0\n mapped: {messages}\n flags:  0x00000053\n"
    assert files.read(f"{DOMAINS}/PCI-MSI-3").decode().startswith(start)


def test_vector_domain_lists_the_vectors_of_every_online_cpu(boot):
    files = boot("q4")
    files.write("/sys/devices/system/cpu/cpu2/online", "0")
    *head, system, header, cpu0, cpu1, cpu3 = files.read(f"{DOMAINS}/VECTOR").decode().splitlines()

    assert head[0] == "name:   VECTOR"
    assert head[1] == " size:   0"
    assert head[3] == " flags:  0x00000103"
    assert head[4] == "Online bitmaps:        3"
    assert system == "System: 38: 0-19,21,50,128,236,240-242,244,246-255"
    assert header == " | CPU | avl | man | mac | act | vectors"
    assert [row[:6] for row in (cpu0, cpu1, cpu3)] == ["     0", "     1", "     3"]
    available = sum(int(row.split()[1]) for row in (cpu0, cpu1, cpu3))
    assert head[5] == f"Global available: {available:6}"


def test_linux_6_1_keeps_vector_32_for_cleaning_up(boot):
    shown = boot("q4", kernel="6.1").read(f"{DOMAINS}/VECTOR").decode()

    assert "System: 39: 0-19,21,32,50,128,236,240-242,244,246-255\n" in shown


def test_domain_of_a_device_ends_with_that_of_the_vectors(boot):
    files = boot("q4")
    shown = files.read(f"{DOMAINS}/IO-APIC-0").decode()

    start = "name:   IO-APIC-0\n size:   24\n mapped: 20\n flags:  0x00000003\n parent: VECTOR\n"
    assert shown.startswith(start + "    name:   VECTOR\n     size:   0\n")
    assert "     | CPU | avl | man | mac | act | vectors\n         0 " in shown


def test_default_domain_is_that_of_the_vectors(boot):
    files = boot("q4")
    assert files.read(f"{DOMAINS}/default") == files.read(f"{DOMAINS}/VECTOR")


def test_linux_6_18_names_the_flags_of_domains(boot):
    shown = boot("q4", kernel="6.18").read(f"{DOMAINS}/PCI-MSIX-0000:00:03.0-12").decode()

    assert shown.startswith(
        "name:   PCI-MSIX-0000:00:03.0-12\n size:   0\n mapped: 3\n flags:  0x00000213\n"
        "            IRQ_DOMAIN_FLAG_HIERARCHY\n            IRQ_DOMAIN_NAME_ALLOCATED\n"
        "            IRQ_DOMAIN_FLAG_MSI\n            IRQ_DOMAIN_FLAG_MSI_DEVICE\n parent: VECTOR\n"
    )


@pytest.mark.parametrize("text", ["trigger\n", "trigger please", "trig"])
def test_trigger_or_its_beginning_interrupts_once(boot, text):
    files = boot("q4")
    before = files.rows()["1"]
    files.write(f"{IRQS}/1", text)
    files.run_for(10_000)

    assert sum(files.rows()["1"]) == sum(before) + 1


def test_other_text_is_ignored(boot):
    files = boot("q4")
    before = files.rows()["1"]
    files.write(f"{IRQS}/1", "trig\n")
    files.run_for(10_000)

    assert files.rows()["1"] == before


def test_level_line_cannot_be_triggered(boot):
    with pytest.raises(OSError, match="is a level") as refused:
        boot("q4").write(f"{IRQS}/9", "trigger\n")
    assert refused.value.errno == errno.EINVAL


def test_line_that_nobody_requested_cannot_be_triggered(boot):
    with pytest.raises(OSError, match="not active") as refused:
        boot("q4").write(f"{IRQS}/5", "trigger\n")
    assert refused.value.errno == errno.EINVAL


def test_second_trigger_before_the_first_has_come_is_busy(boot):
    files = boot("q4")
    files.write(f"{IRQS}/1", "trigger\n")

    with pytest.raises(OSError, match="replayed already") as refused:
        files.write(f"{IRQS}/1", "trigger\n")
    assert refused.value.errno == errno.EBUSY
    files.run_for(10_000)
    files.write(f"{IRQS}/1", "trigger\n")
