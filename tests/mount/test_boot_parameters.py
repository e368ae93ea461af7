"""Boot parameters, as a program sees them that looks into /proc and /sys."""

import pytest

pytestmark = pytest.mark.mount

CPUS = "$M/sys/devices/system/cpu"


def test_cpus_beyond_maxcpus_are_present_and_can_be_switched_on(boot):
    machine = boot("laptop", "--cmdline", "maxcpus=2")
    assert machine.shell(f"cat {CPUS}/{{possible,present,online,offline}}").stdout.split() == [
        *("0-3", "0-3"),
        *("0-1", "2-3"),
    ]
    assert machine.rows().cpus == [0, 1]

    assert machine.shell(f"echo 1 > {CPUS}/cpu3/online").returncode == 0
    assert machine.rows().cpus == [0, 1, 3]


def test_cpus_beyond_nr_cpus_do_not_exist(boot):
    machine = boot("laptop", "--cmdline", "nr_cpus=2")
    assert machine.shell(f"cat {CPUS}/possible; ls -d {CPUS}/cpu2").stdout == "0-1\n"
    assert machine.shell("cat $M/proc/irq/default_smp_affinity").stdout == "3\n"


def test_nosmp_leaves_one_column_of_xt_pic(boot):
    machine = boot("laptop", "--cmdline", "nosmp")
    assert machine.rows().cpus == [0]
    rows = (machine / "proc/interrupts").read_text()
    assert "XT-PIC      timer" in rows
    assert "IO-APIC" not in rows


def test_nohz_full_and_isolcpus_are_shown_and_keep_the_tick_away(boot):
    words = "nohz_full=2-3 isolcpus=domain,managed_irq,3 irqaffinity=0-1"
    machine = boot("laptop", "--clock", "step", "--cmdline", words)
    assert words in (machine / "proc/cmdline").read_text()
    assert machine.shell(f"cat {CPUS}/{{nohz_full,isolated}}").stdout == "2-3\n3\n"
    assert machine.shell("cat $M/proc/irq/default_smp_affinity").stdout == "3\n"
    before = machine.rows()
    machine.advance("5s")
    after = machine.rows()
    ticks = [after.count("LOC", cpu) - before.count("LOC", cpu) for cpu in range(4)]
    assert ticks[0] == pytest.approx(5 * 250, abs=2)
    assert ticks[2:] == [0, 0]


def test_unknown_words_stand_in_the_kernel_log(boot):
    machine = boot("laptop", "--cmdline", "splash")
    kmsg = machine.shell("grep -a 'Unknown kernel' $M/sys/kernel/debug/pseudokern/klog").stdout
    assert '"splash BOOT_IMAGE=/boot/vmlinuz-6.12", will be passed to user space.' in kmsg
