"""/proc/stat adds up to what the other files say."""

import re

import pytest

from tests.fs.conftest import Files, recorded

# Of the rows with a name, TLB, DFR, MIS and the posted ones are not in the total.
IN_TOTAL = (
    *("NMI", "LOC", "SPU", "PMI", "IWI", "RTR", "RES"),
    *("CAL", "TRM", "THR", "MCE", "MCP", "ERR"),
)


def intr(files: Files) -> tuple[int, list[int]]:
    (line,) = re.findall(rb"^intr (.*)$", files.read("/proc/stat"), re.M)
    total, *numbers = map(int, line.split())
    return total, numbers


@pytest.mark.parametrize("preset", ["laptop", "q4", "server-64"])
def test_total_is_the_sum_of_the_rows_that_the_kernel_adds_up(boot, preset):
    files = boot(preset)
    files.run_for(300_000_000)
    rows = files.rows()
    total, numbers = intr(files)
    assert total == sum(numbers) + sum(sum(rows[label]) for label in IN_TOTAL)
    assert sum(rows["TLB"]) + sum(numbers) > 0


def test_there_is_a_number_for_each_interrupt_that_could_exist(boot):
    files = boot("q4")
    _, numbers = intr(files)
    assert len(numbers) == files.machine.irqs.nr_irqs
    for label, counts in files.rows().items():
        if label.isdigit():
            assert numbers[int(label)] == sum(counts)


def test_total_never_goes_down_when_a_line_goes(boot):
    files = boot("laptop")
    files.command("sim line card edge")
    files.command("request line line none hard")
    files.command("raise line 100")
    before, _ = intr(files)
    files.command("free line line")
    files.command("del line")
    after, _ = intr(files)
    assert after >= before


def test_total_counts_an_offline_cpu_too(boot):
    files = boot("laptop")
    files.run_for(100_000_000)
    before, _ = intr(files)
    files.write("/sys/devices/system/cpu/cpu3/online", "0")
    assert intr(files)[0] >= before


def test_softirq_line_is_the_sum_of_the_softirqs_file(boot):
    files = boot("laptop")
    files.run_for(1_000_000_000)
    rows = [
        sum(map(int, line.split()[1:])) for line in files.read("/proc/softirqs").splitlines()[1:]
    ]
    (line,) = re.findall(rb"^softirq (.*)$", files.read("/proc/stat"), re.M)
    assert list(map(int, line.split())) == [sum(rows), *rows]


def test_lines_are_those_that_were_recorded(boot):
    ours = boot("q4").read("/proc/stat").decode()
    shape = [(line.split()[0], len(line.split())) for line in ours.splitlines()]
    linux = recorded("q4", "/proc/stat").splitlines()
    assert shape == [(line.split()[0], len(line.split())) for line in linux]


def test_times_of_each_cpu_add_up_to_the_time_since_boot(boot):
    files = boot("laptop")
    files.run_for(4_000_000_000)
    for line in files.read("/proc/stat").decode().splitlines():
        if re.match("cpu[0-9]", line):
            ticks = sum(map(int, line.split()[1:]))
            assert 500 - 4 <= ticks <= 500  # four kinds of time, each rounded down


def test_uptime_is_the_simulated_time(boot):
    files = boot("laptop")
    files.run_for(1_234_567_890)
    assert files.read("/proc/uptime").split()[0] == b"2.23"
