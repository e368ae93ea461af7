"""What each boot parameter does to a machine: its log, its CPUs, its interrupts."""

import pytest

from pseudokern.machine.boot_words import unknown_words
from pseudokern.machine.description import Overrides, load
from pseudokern.machine.machine import Machine

NS_PER_S = 1_000_000_000


@pytest.fixture
def boot():
    def boot(cmdline: str, preset: str = "laptop", **overrides: object) -> Machine:
        description = load(preset, Overrides(cmdline=cmdline, **overrides))
        return Machine(description, description.seed)

    return boot


def texts(machine: Machine) -> list[str]:
    return [record.text for record in machine.kernel.log]


def run_for(machine: Machine, duration_ns: int) -> None:
    until_ns = machine.timeline.now_ns + duration_ns
    while not machine.timeline.run(until_ns, 100_000):
        continue


def ticks(machine: Machine) -> list[int]:
    return [this.counts.apic_timer for this in machine.kernel.cpus]


def test_command_line_stands_in_the_log_twice_as_on_x86(boot):
    cmdline = "BOOT_IMAGE=/boot/vmlinuz-6.12 root=/dev/nvme0n1p2 ro quiet panic=7"
    log = texts(boot("panic=7"))
    assert log[1] == f"Command line: {cmdline}"
    assert f"Kernel command line: {cmdline}" in log


def test_unknown_words_are_told_arguments_before_variables(boot):
    line = 'Unknown kernel command line parameters "splash fast BOOT_IMAGE=/boot/vmlinuz-6.12 a=2"'
    log = texts(boot("splash a=1 fast a=2 vt.handoff=7 root=/dev/sda"))
    assert f"{line}, will be passed to user space." in log


def test_words_that_linux_knows_are_not_unknown():
    assert unknown_words(["ro", "root=/dev/sda", "no-timer-check", "usbcore.autosuspend=1"]) == []


def test_nr_cpus_rejects_the_others(boot):
    machine = boot("nr_cpus=2")
    log = texts(machine)
    assert machine.kernel.possible == 0b11
    assert "CPU topo: CPU limit of 2 reached. Ignoring further CPUs" in log
    assert "CPU topo: Allowing 2 present CPUs plus 0 hotplug CPUs" in log
    assert "CPU topo: Rejected CPUs 2" in log
    assert "smp: Brought up 1 node, 2 CPUs" in log


def test_linux_6_1_names_the_processors_that_it_ignores(boot):
    log = texts(boot("nr_cpus=2", kernel="6.1"))
    assert "APIC: NR_CPUS/possible_cpus limit of 2 reached. Processor 3/0x3 ignored." in log
    assert "smpboot: 4 Processors exceeds NR_CPUS limit of 2" in log
    assert "smpboot: Allowing 2 CPUs, 0 hotplug CPUs" in log


def test_possible_cpus_limits_before_the_cpus_are_counted(boot):
    log = texts(boot("possible_cpus=3"))
    assert "CPU topo: Limiting to 3 possible CPUs" in log
    assert "CPU topo: Rejected CPUs 1" in log


def test_maxcpus_leaves_cpus_that_can_be_switched_on(boot):
    machine = boot("maxcpus=2")
    assert (machine.kernel.present, machine.kernel.online) == (0b1111, 0b0011)
    assert "smp: Brought up 1 node, 2 CPUs" in texts(machine)

    machine.pc.hotplug.up(3)
    assert machine.kernel.online == 0b1011
    assert texts(machine)[-1] == "smpboot: Booting Node 0 Processor 3 APIC 0x3"


@pytest.mark.parametrize("word", ["nosmp", "maxcpus=0"])
def test_nosmp_leaves_one_cpu_and_no_io_apic(boot, word):
    machine = boot(word)
    assert machine.kernel.possible == 1
    log = texts(machine)
    assert "CPU topo: Limiting to 1 possible CPUs" in log
    assert "APIC: SMP mode deactivated" in log
    assert "smp: Brought up 1 node, 1 CPU" in log
    assert {desc.chip.name for desc in machine.irqs if desc.actions and desc.irq < 16} == {"XT-PIC"}


def test_cpus_are_announced_by_node_in_columns(boot):
    log = texts(boot("maxcpus=34", "server-64"))
    assert ".... node  #0, CPUs:        #1  #2  #3  #4  #5" in "\n".join(log)
    assert any(text.startswith(".... node  #1, CPUs:   #16 #17") for text in log)


def test_cpus_of_nohz_full_do_not_tick_and_cpu_0_always_does(boot):
    machine = boot("nohz_full=2-3")
    run_for(machine, NS_PER_S)
    before = ticks(machine)
    run_for(machine, 4 * NS_PER_S)
    passed = [now - then for now, then in zip(ticks(machine), before, strict=True)]
    hz = machine.kernel.hz
    assert abs(passed[0] - 4 * hz) <= 2
    assert 0 < passed[1] < 4 * hz
    assert passed[2:] == [0, 0]
    assert machine.kernel.cpus[2].user_ns > 0  # programs did run there
    assert "NO_HZ: Full dynticks CPUs: 2-3." in texts(machine)
    assert "watchdog: Disabling watchdog on nohz_full cores by default" in texts(machine)


def test_cpu_0_is_taken_out_of_nohz_full(boot):
    machine = boot("nohz_full=0-1")
    assert machine.kernel.nohz_full == 0b10
    assert "NO_HZ: Clearing 0 from nohz_full range for timekeeping" in texts(machine)


def test_no_program_runs_on_an_isolated_cpu(boot):
    machine = boot("isolcpus=3")
    before = ticks(machine)
    run_for(machine, 5 * NS_PER_S)
    assert machine.kernel.cpus[3].user_ns == 0
    assert ticks(machine)[3] == before[3]
    assert machine.kernel.cpus[2].user_ns > 0


def test_mistakes_have_the_level_that_linux_gives_them(boot):
    machine = boot("loglevel isolcpus=fast,2 nohz_full=9")
    levels = {record.text: record.level for record in machine.kernel.log}
    assert levels["Malformed early option 'loglevel'"] == 4
    assert levels["isolcpus: Skipped unknown flag fast"] == 6
    assert levels["Housekeeping: nohz_full= or isolcpus= incorrect CPU range"] == 4


def test_larger_log_buffer_is_told_with_what_was_free(boot):
    log = texts(boot("log_buf_len=1M"))
    assert "printk: log_buf_len: 1048576 bytes" in log
    assert any(text.startswith("printk: early log buf free: ") for text in log)


def test_many_cpus_make_the_log_buffer_larger(boot):
    log = texts(boot("", "server-64"))
    assert "printk: log_buf_len total cpu_extra contributions: 258048 bytes" in log
    assert "printk: log_buf_len: 524288 bytes" in log


def test_ignore_loglevel_is_told(boot):
    assert "printk: debug: ignoring loglevel setting." in texts(boot("ignore_loglevel"))


def test_quiet_changes_the_console_level_only(boot):
    machine = boot("quiet")
    assert machine.kernel.log.loglevels[0] == 4
    assert "smp: Bringing up secondary CPUs ..." in texts(machine)


def test_noirqdebug_and_irqpoll_are_told(boot):
    log = texts(boot("noirqdebug irqpoll"))
    assert "IRQ lockup detection disabled" in log
    assert "Misrouted IRQ fixup and polling support enabled" in log


def test_unknown_option_of_pci_is_told_and_the_others_count(boot):
    machine = boot("pci=noaer,fast,nomsi,realloc=on")
    assert [text for text in texts(machine) if text.startswith("PCI: Unknown")] == [
        "PCI: Unknown option `fast'"
    ]
    assert not machine.pc.pci.has_messages
