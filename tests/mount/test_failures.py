"""A user provokes exceptions, NMIs and panics through the files, and sees what Linux would say."""

import pytest

from tests.mount.booted import DEBUG, pseudokern, wait_until

pytestmark = pytest.mark.mount

EXCEPTION = f"{DEBUG}/faults/exception"


def dmesg(machine):
    return pseudokern("dmesg", "--at", machine.directory).stdout


def test_a_program_that_crashes_is_in_dmesg_and_the_machine_goes_on(laptop):
    (laptop / EXCEPTION).write_text("divide_error cpu 2")
    outcome = (laptop / EXCEPTION).read_text()
    assert outcome.startswith("prog[")
    assert outcome.endswith("was killed by SIGFPE\n")
    assert "trap divide error ip:" in dmesg(laptop)
    before = laptop.now_ns()
    wait_until(lambda: laptop.now_ns() > before, "time going on")


def test_an_nmi_counts_in_its_row(laptop):
    before = laptop.rows().count("NMI", 3)
    (laptop / f"{DEBUG}/faults/nmi").write_text("3 unknown")
    assert laptop.rows().count("NMI", 3) == before + 1
    assert "Uhhuh. NMI received for unknown reason 00 on CPU 3." in dmesg(laptop)


def test_a_machine_check_counts_in_its_row(laptop):
    (laptop / EXCEPTION).write_text("machine_check cpu 1")
    assert laptop.rows().count("MCE", 1) == 1


def test_programs_that_crash_get_ten_lines_in_five_seconds_unless_root_says_otherwise(boot):
    machine = boot("laptop", "--clock", "step")
    crash = f"for i in {{1..12}}; do echo divide_error > $M/{EXCEPTION}; done"
    machine.shell(crash)
    assert dmesg(machine).count("trap divide error") == 10

    machine.advance("6s")
    machine.shell(crash)
    assert "show_signal: 2 callbacks suppressed" in dmesg(machine)
    (machine / "proc/sys/kernel/printk_ratelimit").write_text("0")
    machine.shell(crash)
    assert dmesg(machine).count("trap divide error") == 32


def test_nonsense_is_refused_by_the_write(laptop):
    assert "Invalid argument" in laptop.shell(f"echo divide > $M/{EXCEPTION}").stderr
    assert "Invalid argument" in laptop.shell(f"echo 9 > $M/{DEBUG}/faults/nmi").stderr
    assert "Invalid argument" in laptop.shell("echo x > $M/proc/sys/kernel/watchdog_thresh").stderr


@pytest.mark.parametrize("file", ["watchdog", "soft_watchdog", "nmi_watchdog", "watchdog_thresh"])
def test_a_watchdog_setting_reads_as_it_was_written(laptop, file):
    path = laptop / f"proc/sys/kernel/{file}"
    before = path.read_text()
    path.write_text("0")
    assert path.read_text() == "0\n"
    path.write_text(before)
    assert path.read_text() == before


def test_a_machine_without_a_counter_has_no_hard_watchdog(boot):
    machine = boot("q4", "--clock", "step")
    assert (machine / "proc/sys/kernel/nmi_watchdog").read_text() == "0\n"
    refused = machine.shell("echo 1 > $M/proc/sys/kernel/nmi_watchdog")
    assert "Operation not supported" in refused.stderr
    assert "NMI watchdog: Perf NMI watchdog permanently disabled" in dmesg(machine)


def test_boot_parameters_switch_the_watchdogs(boot):
    words = "nowatchdog watchdog_thresh=30 oops=panic panic=5"
    machine = boot("laptop", "--clock", "step", "--cmdline", words)
    settings = ("watchdog", "nmi_watchdog", "watchdog_thresh", "panic_on_oops", "panic")
    values = [(machine / f"proc/sys/kernel/{name}").read_text() for name in settings]
    assert values == ["0\n", "0\n", "30\n", "1\n", "5\n"]


def test_after_a_panic_the_files_can_be_read_and_the_machine_halted(boot):
    machine = boot("laptop", "--clock", "free")
    (machine / EXCEPTION).write_text("page_fault irq cpu 1")
    panic = "Kernel panic - not syncing: Fatal exception in interrupt"
    wait_until(lambda: panic in dmesg(machine), "the panic")
    ended_ns = machine.now_ns()
    assert machine.rows().total("CAL") > 0
    assert "Input/output error" in machine.shell("echo 1 > $M/proc/irq/1/smp_affinity").stderr
    assert machine.now_ns() == ended_ns
    assert machine.halt().returncode == 0
    assert "Traceback" not in machine.log
