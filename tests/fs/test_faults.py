"""The files of faults: each breaks what it says, shows what is armed, and can be told to end."""

import errno

import pytest

from pseudokern.fs.debug import FAULTS

FAULTS_DIR = "/sys/kernel/debug/pseudokern/faults"
MS = 1_000_000
EDGE, LEVEL, MESSAGE, DMAR = "4", "21", "29", "24"


@pytest.fixture
def q4(boot):
    return Broken(boot("q4"))


@pytest.fixture
def remapped(boot, tmp_path):
    """q4 on a board with a remapping unit: its messages have numbers that are higher by one."""
    file = tmp_path / "remapped.toml"
    file.write_text('[machine]\nbase = "q4"\nname = "remapped"\niommu = "intel"\n')
    return Broken(boot(file))


class Broken:
    """A machine on which things are broken."""

    def __init__(self, files):
        self.files = files
        self.machine = files.machine

    def fault(self, name, text):
        self.files.write(f"{FAULTS_DIR}/{name}", f"{text}\n")
        self.files.run_for(MS)

    def armed(self, name):
        return self.files.read(f"{FAULTS_DIR}/{name}").decode()

    def count(self, label):
        return sum(self.files.rows()[label])

    def log(self):
        return [record.text for record in self.machine.kernel.log]

    def losses(self):
        return {place: n for place, n in self.machine.pc.losses().items() if n}


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_armed_at_first(q4, name):
    assert q4.armed(name) == ""


@pytest.mark.parametrize("irq", [EDGE, MESSAGE])
def test_raise_interrupts_as_often_as_it_was_told(q4, irq):
    before = q4.count(irq)
    q4.fault("raise", f"{irq} 50 10 kHz")
    assert q4.armed("raise") == f"{irq} 40 10 kHz\n"
    q4.files.run_for(10 * MS)
    assert q4.count(irq) == before + 50
    assert q4.armed("raise") == ""


def test_raise_of_a_level_line_is_noise_that_nobody_handles(q4):
    before = q4.count(LEVEL)
    q4.fault("raise", f"{LEVEL} 5 100kHz")
    assert q4.count(LEVEL) == before + 5
    assert "unhandled 5\n" in q4.files.read(f"/proc/irq/{LEVEL}/spurious").decode()


def test_raise_ends_when_told_so(q4):
    q4.fault("raise", f"{MESSAGE} 1000000 1kHz")
    q4.fault("raise", f"{MESSAGE} off")
    before = q4.count(MESSAGE)
    q4.files.run_for(100 * MS)
    assert q4.count(MESSAGE) == before
    assert q4.armed("raise") == ""


def test_a_new_raise_replaces_the_one_under_way(q4):
    q4.fault("raise", f"{MESSAGE} 1000000 1kHz")
    before = q4.count(MESSAGE)
    q4.fault("raise", f"{MESSAGE} 3 1MHz")
    q4.files.run_for(100 * MS)
    assert q4.count(MESSAGE) == before + 3


def test_a_line_that_is_stuck_is_disabled_as_nobody_cares(q4):
    q4.files.write(f"{FAULTS_DIR}/stuck_line", f"{LEVEL} on")
    q4.files.run_for(500 * MS)
    assert f"Disabling IRQ #{LEVEL}" in q4.log()
    assert q4.count(LEVEL) == 100_000
    assert q4.armed("stuck_line") == f"{LEVEL} on\n"

    q4.fault("stuck_line", f"{LEVEL} off")
    assert q4.armed("stuck_line") == ""


@pytest.mark.parametrize("irq", [EDGE, MESSAGE])
def test_lost_edges_are_counted_and_then_all_is_well_again(q4, irq):
    before = q4.count(irq)
    q4.fault("lost_edge", f"{irq} 3")
    assert q4.armed("lost_edge") == f"{irq} 3\n"
    q4.fault("raise", f"{irq} 5 100kHz")
    assert q4.count(irq) == before + 2
    assert q4.losses()["lost on the way, as was asked for"] == 3
    assert q4.armed("lost_edge") == ""


def test_losing_ends_when_told_so(q4):
    q4.fault("lost_edge", f"{MESSAGE} 1000")
    q4.fault("lost_edge", f"{MESSAGE} 0")
    before = q4.count(MESSAGE)
    q4.fault("raise", f"{MESSAGE} 5 100kHz")
    assert q4.count(MESSAGE) == before + 5


def test_a_delayed_eoi_lets_a_stuck_line_come_once_in_that_time(q4):
    q4.fault("delayed_eoi", "2ms")
    assert q4.armed("delayed_eoi") == "2000000 ns\n"
    q4.fault("stuck_line", f"{LEVEL} on")
    q4.files.run_for(100 * MS)
    assert q4.count(LEVEL) in (50, 51)

    q4.fault("delayed_eoi", "off")
    before = q4.count(LEVEL)
    q4.files.run_for(10 * MS)
    assert q4.count(LEVEL) > before + 1_000


def test_a_vector_from_nowhere_counts_as_spurious_or_has_no_handler(q4):
    q4.fault("spurious_vector", "1 0xf3")
    assert q4.files.rows()["SPU"] == [0, 1, 0, 0]
    assert q4.log()[-1] == "Spurious interrupt (vector 0xf3) on CPU#1. Acked"

    q4.fault("spurious_vector", "2 0xff")
    assert q4.files.rows()["SPU"] == [0, 1, 1, 0]

    q4.fault("spurious_vector", "3 0x99")
    assert q4.log()[-1] == "No irq handler for 3.153"


def test_apic_errors_raise_the_err_row_and_the_log_names_them_with_apic_debug(boot):
    q4 = Broken(boot("q4", cmdline="apic=debug"))
    q4.fault("apic_error", "1 0x28")
    assert q4.count("ERR") == 1
    assert q4.log()[-1] == ("APIC error on CPU1: 28 : Receive accept error : Send illegal vector")


@pytest.mark.parametrize(("line", "told"), [(5, 7), (7, 7), (9, 15)])
def test_noise_on_the_8259_is_line_7_or_15_and_counts_in_err(boot, line, told):
    machine = Broken(boot("q4-noapic"))
    # The 8259 does not tell of masked lines, and the kernel does not of lines without handler.
    machine.files.write("/sys/kernel/debug/pseudokern/ports", "0x21 0x00")
    machine.files.write("/sys/kernel/debug/pseudokern/ports", "0xa1 0x00")
    machine.fault("pic_glitch", str(line))
    assert machine.count("ERR") == 1
    assert f"spurious 8259A interrupt: IRQ{told}." in machine.log()


def test_a_forged_message_arrives_without_remapping(q4):
    before = q4.count(MESSAGE)
    q4.fault("forged_msi", f"00:09.0 {MESSAGE}")
    assert q4.count(MESSAGE) == before + 1


def test_a_message_with_the_delivery_mode_nmi_is_one(q4):
    q4.fault("forged_msi", "00:09.0 0xfee02000 0x400")
    assert q4.files.rows()["NMI"] == [0, 0, 1, 0]
    assert "Uhhuh. NMI received for unknown reason 00 on CPU 2." in q4.log()


def test_a_forged_message_is_blocked_with_remapping(remapped):
    before = remapped.count(MESSAGE)
    remapped.fault("forged_msi", f"0000:00:09.0 {MESSAGE}")
    assert remapped.count(MESSAGE) == before
    assert remapped.count(DMAR) == 1
    assert remapped.log()[-1].endswith(
        "[fault reason 0x26] Blocked an interrupt request due to source-id verification failure"
    )


def test_a_message_in_old_format_is_blocked_with_remapping(remapped):
    remapped.fault("forged_msi", "00:09.0 0xfee00000 0x41")
    assert "[fault reason 0x25]" in remapped.log()[-1]


@pytest.mark.parametrize(("how", "reason"), [("spoilt", "0x24"), ("absent", "0x22")])
def test_a_bad_entry_blocks_its_interrupt_until_it_is_good(remapped, how, reason):
    before = remapped.count(MESSAGE)
    remapped.fault("irte", f"{MESSAGE} {how}")
    assert remapped.armed("irte") == f"{MESSAGE} {how}\n"
    remapped.fault("raise", f"{MESSAGE} 1")
    assert remapped.count(MESSAGE) == before
    assert f"[fault reason {reason}]" in remapped.log()[-1]

    remapped.fault("irte", f"{MESSAGE} good")
    assert remapped.armed("irte") == ""
    remapped.fault("raise", f"{MESSAGE} 1")
    assert remapped.count(MESSAGE) == before + 1


def test_a_move_writes_the_entry_and_so_heals_it(remapped):
    remapped.fault("irte", f"{MESSAGE} absent")
    desc = remapped.machine.irqs[int(MESSAGE)]
    other = next(cpu for cpu in range(4) if not desc.effective_affinity >> cpu & 1)
    remapped.files.write(f"/proc/irq/{MESSAGE}/smp_affinity_list", str(other))
    assert remapped.armed("irte") == ""


def test_an_unreadable_table_blocks_everything(remapped):
    remapped.fault("irte", "table unreadable")
    assert remapped.armed("irte") == "table unreadable\n"
    before = remapped.count(MESSAGE)
    remapped.fault("raise", f"{MESSAGE} 1")
    assert "[fault reason 0x23]" in remapped.log()[-1]

    remapped.fault("irte", "table readable")
    remapped.fault("raise", f"{MESSAGE} 1")
    assert remapped.count(MESSAGE) == before + 1


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [
        ("raise", "", "write IRQ TIMES"),
        ("raise", "29", "write IRQ TIMES"),
        ("raise", "99 1", "nobody has requested interrupt 99"),
        ("raise", "29 0", "not from 0x1"),
        ("raise", "29 many", "'many' is no number"),
        ("raise", "29 1 fast", "rate 'fast'"),
        ("raise", "29 1 0 Hz", "a rate of 0 never ends"),
        ("stuck_line", "21", "write GSI on"),
        ("stuck_line", "17 on", "no PCI device is wired to 17"),
        ("stuck_line", "21 maybe", "'maybe' is neither on nor off"),
        ("lost_edge", "21 1", "has no edges"),
        ("lost_edge", "29 -1", "not from 0x0"),
        ("delayed_eoi", "soon", "'soon'"),
        ("spurious_vector", "9 0x99", "CPU 9 is not online"),
        ("spurious_vector", "1 0x1f", "not from 0x20 to 0xff"),
        ("apic_error", "1 0x100", "not from 0x1 to 0xff"),
        ("pic_glitch", "5", "boot with noapic"),
        ("pic_glitch", "16", "not from 0x0 to 0xf"),
        ("forged_msi", "00:09.0", "write BDF IRQ"),
        ("forged_msi", "card 29", "'card' is no address"),
        ("forged_msi", "00:09.0 4", "interrupt 4 has no message"),
        ("irte", "29 spoilt", "interrupts are not remapped"),
    ],
)
def test_what_makes_no_sense_is_einval_and_the_reason_is_told(q4, name, text, hint):
    with pytest.raises(OSError, match=hint) as caught:
        q4.fault(name, text)
    assert caught.value.errno == errno.EINVAL
    assert q4.armed(name) == ""
    assert q4.losses() == {}
