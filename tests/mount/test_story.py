"""What the README promises, typed into a real shell."""

import os
import pty
import re
import subprocess

import pytest

from tests.mount.booted import DEBUG, PATIENCE_S, Rows, needs_program

pytestmark = pytest.mark.mount


@pytest.fixture(scope="module")
def queue(laptop):
    """The interrupt of the first queue of eth0."""
    return laptop.irq("eth0-TxRx-0")


@pytest.fixture(autouse=True)
def affinity_put_back(laptop, queue):
    path = laptop / f"proc/irq/{queue}/smp_affinity"
    before = path.read_text()
    yield
    path.write_text(before)


def test_counters_move_on_every_cpu_and_for_every_busy_device(laptop):
    before = laptop.rows()
    laptop.advance("1s")
    after = laptop.rows()
    assert after.cpus == [0, 1, 2, 3]
    for cpu in after.cpus:
        assert after.count("LOC", cpu) > before.count("LOC", cpu)
    for action in ("eth0-TxRx-0", "eth0-TxRx-3", "xhci_hcd"):
        irq = laptop.irq(action)
        assert after.total(irq) > before.total(irq)
    for row, counts in before.rows.items():
        assert all(old <= new for old, new in zip(counts, after.rows[row], strict=True))


def test_echo_to_smp_affinity_moves_the_counts_to_the_new_cpu(laptop, queue):
    laptop.shell(f"echo 1 > $M/proc/irq/{queue}/smp_affinity")
    laptop.advance("100ms")  # the move takes effect with the next interrupt
    before = laptop.rows()
    assert laptop.shell(f"echo 4 > $M/proc/irq/{queue}/smp_affinity").returncode == 0
    laptop.advance("1s")
    middle = laptop.rows()
    laptop.advance("1s")
    after = laptop.rows()

    assert middle.count(queue, 2) > before.count(queue, 2)
    assert after.count(queue, 2) > middle.count(queue, 2)
    assert [after.count(queue, cpu) for cpu in (0, 1, 3)] == [
        middle.count(queue, cpu) for cpu in (0, 1, 3)
    ]


def test_mask_that_was_written_is_read_in_both_forms(laptop, queue):
    said = laptop.shell(
        f"cd $M/proc/irq/{queue} && echo 3 > smp_affinity && cat smp_affinity smp_affinity_list"
    )
    assert (said.stdout, said.stderr) == ("3\n0-1\n", "")


def test_list_that_was_written_is_read_in_both_forms(laptop, queue):
    said = laptop.shell(
        f"cd $M/proc/irq/{queue} && echo 2-3 > smp_affinity_list"
        " && cat smp_affinity smp_affinity_list"
    )
    assert (said.stdout, said.stderr) == ("c\n2-3\n", "")


def test_effective_affinity_is_one_cpu_of_the_mask(laptop, queue):
    laptop.shell(f"echo c > $M/proc/irq/{queue}/smp_affinity")
    laptop.advance("1s")
    said = laptop.shell(f"cd $M/proc/irq/{queue} && cat effective_affinity_list")
    assert said.stdout in ("2\n", "3\n")


def test_loop_over_interrupts_gives_each_a_cpu(laptop):
    said = laptop.shell(
        """
        for i in 29 30 31 32; do
          mask=$(printf %x $((1 << (i - 29))))
          echo $mask > $M/proc/irq/$i/smp_affinity || exit
        done
        cat $M/proc/irq/{29,30,31,32}/smp_affinity_list
        for i in 29 30 31 32; do echo f > $M/proc/irq/$i/smp_affinity; done
        """
    )
    assert (said.stdout, said.stderr) == ("0\n1\n2\n3\n", "")


def test_glob_over_all_interrupts_reads_every_list(laptop):
    said = laptop.shell("cat $M/proc/irq/*/smp_affinity_list")
    lists = said.stdout.splitlines()
    assert said.returncode == 0
    assert len(lists) == len([name for name in os.listdir(laptop / "proc/irq") if name.isdigit()])
    assert all(re.fullmatch(r"[0-3](-[0-3])?", each) for each in lists)


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("smp_affinity", "0", "Invalid argument"),
        ("smp_affinity", "xyz", "Invalid argument"),
        ("smp_affinity", "0x", "Invalid argument"),
        ("smp_affinity", "10", "Value too large for defined data type"),
        ("smp_affinity_list", "4", "Numerical result out of range"),
        ("smp_affinity_list", "3-1", "Invalid argument"),
        ("smp_affinity_list", "a", "Invalid argument"),
        ("smp_affinity_list", "", "Invalid argument"),
    ],
)
def test_refused_write_is_bash_s_own_message_and_changes_nothing(laptop, queue, file, text, why):
    before = (laptop / f"proc/irq/{queue}/smp_affinity").read_text()
    said = laptop.shell(f"echo '{text}' > $M/proc/irq/{queue}/{file}")
    assert said.returncode == 1
    assert said.stderr == f"bash: line 1: echo: write error: {why}\n"
    assert (laptop / f"proc/irq/{queue}/smp_affinity").read_text() == before


def test_default_smp_affinity_is_read_written_and_refused(laptop):
    said = laptop.shell(
        """
        cd $M/proc/irq; cat default_smp_affinity
        echo 3 > default_smp_affinity; cat default_smp_affinity
        echo 0 > default_smp_affinity
        echo f > default_smp_affinity; cat default_smp_affinity
        """
    )
    assert said.stdout == "f\n3\nf\n"
    assert said.stderr == "bash: line 4: echo: write error: Invalid argument\n"


def test_managed_interrupt_has_mode_0444_and_eperm_even_for_root(laptop):
    irq = laptop.irq("nvme0q1")
    said = laptop.shell(
        f"stat -c %a $M/proc/irq/{irq}/smp_affinity; echo 1 > $M/proc/irq/{irq}/smp_affinity"
    )
    assert said.stdout == "444\n"
    assert said.stderr == "bash: line 1: echo: write error: Operation not permitted\n"


def test_timer_is_not_moved_either(laptop):
    said = laptop.shell("echo 2 > $M/proc/irq/0/smp_affinity")
    assert said.returncode == 1


def test_tee_writes_one_mask_to_many_files(laptop):
    said = laptop.shell(
        "echo 2 | tee $M/proc/irq/{29,30}/smp_affinity; cat $M/proc/irq/{29,30}/smp_affinity;"
        " echo f | tee $M/proc/irq/{29,30}/smp_affinity > $M/proc/irq/30/smp_affinity"
    )
    assert said.stdout == "2\n2\n2\n"


def test_tee_reports_the_file_that_refuses_and_writes_the_other(laptop):
    managed = laptop.irq("nvme0q1")
    said = laptop.shell(
        f"echo 2 | tee $M/proc/irq/{managed}/smp_affinity $M/proc/irq/30/smp_affinity"
    )
    assert said.returncode == 1
    assert said.stderr.endswith(f"irq/{managed}/smp_affinity: Operation not permitted\n")
    assert (laptop / "proc/irq/30/smp_affinity").read_text() == "2\n"
    laptop.shell("echo f > $M/proc/irq/30/smp_affinity")


def test_append_and_dd_write_too(laptop, queue):
    path = f"$M/proc/irq/{queue}/smp_affinity"
    said = laptop.shell(
        f"echo 2 >> {path} && cat {path}; printf 4 | dd of={path} status=none; cat {path}"
    )
    assert (said.stdout, said.stderr) == ("2\n4\n", "")


def test_intr_line_of_stat_has_the_total_and_a_number_for_each_interrupt(laptop):
    said = laptop.shell("grep intr $M/proc/stat")
    word, total, *numbers = said.stdout.split()
    assert word == "intr"
    assert int(total) >= sum(map(int, numbers)) > 0
    assert len(numbers) > laptop.irq("xhci_hcd")


def test_awk_sums_a_row(laptop, queue):
    said = laptop.shell(
        f"awk '$1 == \"{queue}:\" {{ print $2 + $3 + $4 + $5 }}' $M/proc/interrupts"
    )
    assert 0 < int(said.stdout) <= laptop.rows().total(queue)


def test_softirqs_has_ten_rows_and_a_column_for_each_cpu(laptop):
    said = laptop.shell("awk 'NR > 1 { print $1, NF }' $M/proc/softirqs")
    names = "HI TIMER NET_TX NET_RX BLOCK IRQ_POLL TASKLET SCHED HRTIMER RCU"
    assert said.stdout.splitlines() == [f"{name}: 5" for name in names.split()]


def test_sysfs_tells_of_the_same_interrupt(laptop, queue):
    said = laptop.shell(f"cd $M/sys/kernel/irq/{queue} && cat actions chip_name hwirq type wakeup")
    assert said.stdout.splitlines() == [
        "eth0-TxRx-0", "PCI-MSIX-0000:02:00.0", "1", "edge", "disabled",
    ]  # fmt: skip
    counts = (laptop / f"sys/kernel/irq/{queue}/per_cpu_count").read_text()
    assert sum(map(int, counts.split(","))) <= laptop.rows().total(queue)


def test_cpus_are_listed_in_sysfs(laptop):
    said = laptop.shell("cd $M/sys/devices/system/cpu && cat online possible present offline")
    assert said.stdout == "0-3\n0-3\n0-3\n\n"


def test_pci_function_is_found_through_its_link(laptop, queue):
    said = laptop.shell(f"cat $M/sys/bus/pci/devices/0000:02:00.0/msi_irqs/{queue}")
    assert said.stdout == "msix\n"


@pytest.mark.skipif(bool(needs_program("watch")), reason=needs_program("watch"))
def test_watch_shows_counters_that_move(laptop):
    leader, terminal = pty.openpty()
    watch = subprocess.Popen(
        ["watch", "--interval=0.1", "--chgexit", "cat", laptop / "proc/interrupts"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "LINES": "60", "COLUMNS": "200"},
    )
    os.close(terminal)
    screen = b""
    try:
        while chunk := _read(leader):
            screen += chunk
        assert watch.wait(PATIENCE_S) == 0  # it leaves when the text has changed
    finally:
        watch.kill()
        os.close(leader)
    assert b"Local timer interrupts" in screen


def test_log_and_losses_are_plain_files(laptop):
    said = laptop.shell(f"cat $M/{DEBUG}/klog && cat $M/{DEBUG}/losses")
    assert said.returncode == 0
    assert "Linux version 6.12" in said.stdout
    assert "collapsed in IRR" in said.stdout


def test_rows_parse_as_this_file_takes_them(laptop):
    rows = Rows((laptop / "proc/interrupts").read_text())
    assert rows.rows["ERR"] == [0]
    assert len(rows.rows["LOC"]) == 4


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # EIO: the program has closed it
        return b""
