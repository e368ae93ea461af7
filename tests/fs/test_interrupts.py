"""/proc/interrupts has the kernel's format, whatever happens on the machine."""

import re
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pseudokern.fs.interrupts import InterruptsFile, number_width
from pseudokern.fs.profile import PROFILES
from tests.fs.conftest import Files, recorded


def fresh(files: Files, kernel: str | None = None) -> bytes:
    """The file rendered anew, without anything kept from earlier readings."""
    profile = PROFILES[kernel or files.machine.description.kernel]
    return b"".join(InterruptsFile(files.machine, profile).records())


def without_counts(text: str) -> list[str]:
    """Each line, with a # where a count ended."""
    return [
        re.sub(r"^( *\w+:)((?: +[0-9]+)+)", lambda m: m[1] + re.sub("[0-9 ]", " ", m[2]), line)
        for line in text.splitlines()
    ]


@pytest.mark.parametrize(("recording", "kernel"), [("q4", "6.12"), ("q4-61", "6.1")])
def test_every_row_that_was_recorded_has_its_recorded_form(boot, recording, kernel):
    ours = {line.split(":")[0]: line for line in lines_of(boot("q4", kernel=kernel))}
    linux = without_counts(recorded(recording, "/proc/interrupts"))
    found = [line for line in linux if line.split(":")[0] in ours]
    assert [ours[line.split(":")[0]] for line in found] == found
    missing = [line for line in linux if line.split(":")[0] not in ours]
    assert all("xhci_hcd" in line for line in missing)  # its other vectors, which 6.12 leaves out
    assert len(ours) == len(found)


def lines_of(files: Files) -> list[str]:
    return without_counts(files.read("/proc/interrupts").decode())


def test_6_18_has_one_blank_less_between_the_counts_and_the_chip(boot):
    files = boot("laptop")
    old = fresh(files, "6.12").decode().splitlines()
    new = fresh(files, "6.18").decode().splitlines()
    gap = len("123:") + 4 * len(" 1234567890")
    for before, after in zip(old, new, strict=True):
        if before.split(":")[0].strip().isdigit():
            assert before[gap : gap + 2] == "  "
            before = before[:gap] + before[gap + 1 :]
        assert after == before


@pytest.mark.parametrize(
    ("nr_irqs", "width"), [(16, 3), (999, 3), (1000, 4), (9999, 4), (10_000, 5), (10**11, 10)]
)
def test_number_column_has_three_digits_or_as_many_as_nr_irqs(nr_irqs, width):
    assert number_width(nr_irqs) == width


def test_machine_with_a_thousand_interrupts_has_four_columns_for_the_number(boot):
    files = boot("laptop")
    before = files.read("/proc/interrupts").decode().splitlines()
    files.machine.irqs.alloc_descs(1000 - len(files.machine.irqs), node=-1)
    assert files.machine.irqs.nr_irqs >= 1000
    after = files.read("/proc/interrupts").decode().splitlines()
    assert after[0] == " " + before[0]
    assert after[1].startswith("   0: ")
    assert next(line for line in after if "Local timer" in line).startswith(" LOC: ")


def test_counts_wrap_at_32_bits_in_every_file(boot):
    files = boot("laptop")
    desc = files.machine.irqs[29]
    before = files.rows()["29"][3]
    desc.count_many(3, 2**32 - 1 - before)
    assert files.rows()["29"][3] == 2**32 - 1
    desc.count(3)
    assert files.rows()["29"][3] == 0
    desc.count_many(3, 7)
    assert files.rows()["29"][3] == 7
    assert files.read("/sys/kernel/irq/29/per_cpu_count").endswith(b",7\n")
    (intr,) = re.findall(rb"^intr (.*)$", files.read("/proc/stat"), re.M)
    assert int(intr.split()[1 + 29]) == sum(files.rows()["29"])


def test_system_rows_wrap_at_32_bits(boot):
    files = boot("laptop")
    files.machine.kernel.cpus[2].counts.apic_timer = 2**32 + 5
    assert files.rows()["LOC"][2] == 5


def test_offline_cpu_has_no_column_but_its_counts_come_back(boot):
    files = boot("laptop")
    files.run_for(1_000_000_000)
    before = files.rows()
    files.write("/sys/devices/system/cpu/cpu1/online", "0")
    header = files.read("/proc/interrupts").splitlines()[0]
    assert header.split() == [b"CPU0", b"CPU2", b"CPU3"]
    assert files.rows()["LOC"] == [before["LOC"][cpu] for cpu in (0, 2, 3)]
    assert files.rows()["29"][1:] == before["29"][2:]
    files.write("/sys/devices/system/cpu/cpu1/online", "1")
    assert files.rows()["29"][1] >= before["29"][1]


def test_softirqs_keeps_the_column_of_an_offline_cpu(boot):
    files = boot("laptop")
    files.write("/sys/devices/system/cpu/cpu1/online", "0")
    header = files.read("/proc/softirqs").splitlines()[0]
    assert header.split() == [b"CPU0", b"CPU1", b"CPU2", b"CPU3"]
    stat = files.read("/proc/stat")
    assert re.findall(rb"^cpu([0-9]+) ", stat, re.M) == [b"0", b"2", b"3"]


def test_freed_interrupt_has_no_row_and_a_shared_one_lists_all_names(boot):
    files = boot("q4")
    assert "eth3, edu1, edu2\n" in files.read("/proc/interrupts").decode()
    files.command("sim line card edge")
    for name in ("one", "two", "three"):
        files.command(f"request line {name} shared hard")
    assert "  one, two, three\n" in files.read("/proc/interrupts").decode()
    files.command("free line two")
    assert "  one, three\n" in files.read("/proc/interrupts").decode()
    files.command("free line one")
    files.command("free line three")
    assert " card " not in files.read("/proc/interrupts").decode()


@pytest.mark.parametrize("name", ["%d%s", "a b, c", "naïve", "\udcff\udcfe", "x" * 300])
def test_any_name_of_a_handler_is_printed_as_it_is(boot, name):
    files = boot("laptop")
    files.machine.test_lines.command("sim line card edge")
    files.machine.test_lines.command(f"request line {name.replace(' ', '_')} none hard")
    line = files.read("/proc/interrupts").decode(errors="surrogateescape")
    assert f"  {name.replace(' ', '_')}\n" in line


def test_name_with_a_slash_has_no_directory_and_spoils_no_other(boot):
    files = boot("laptop")
    files.command("sim line card edge")
    files.command("request line a/b shared hard")
    files.command("request line good shared hard")
    irq = max(files.machine.irqs, key=lambda desc: desc.irq).irq
    names = [name for name, _ in files.tree.readdir(f"/proc/irq/{irq}")]
    assert "good" in names
    assert "a/b" not in names


ACTIONS = st.one_of(
    st.tuples(st.just("run"), st.integers(1, 30_000_000)),
    st.tuples(st.just("move"), st.sampled_from([24, 29, 30, 31, 32]), st.integers(1, 15)),
    st.tuples(st.just("switch"), st.integers(1, 3), st.booleans()),
    st.tuples(st.just("request"), st.sampled_from("abc")),
    st.tuples(st.just("free"), st.sampled_from("abc")),
    st.tuples(st.just("raise"), st.sampled_from("abc"), st.integers(1, 300)),
    st.tuples(st.just("count"), st.integers(28, 37), st.integers(1, 2**33)),
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(actions=st.lists(ACTIONS, max_size=25))
def test_rows_that_are_kept_equal_a_fresh_rendering_whatever_happened(boot, actions):
    files = boot("laptop")
    files.read("/proc/interrupts")
    for action in actions:
        with suppress(OSError):  # not possible at this moment
            act(files, *action)
        assert files.read("/proc/interrupts") == fresh(files)


def act(files: Files, what: str, *how) -> None:
    match what, how:
        case "run", (duration_ns,):
            files.run_for(duration_ns)
        case "move", (irq, mask):
            files.write(f"/proc/irq/{irq}/smp_affinity", f"{mask:x}")
        case "switch", (cpu, on):
            files.write(f"/sys/devices/system/cpu/cpu{cpu}/online", str(int(on)))
        case "request", (name,):
            files.command(f"sim {name} chip-{name} edge")
            files.command(f"request {name} {name} none hard")
        case "free", (name,):
            files.command(f"free {name} {name}")
            files.command(f"del {name}")
        case "raise", (name, times):
            files.command(f"raise {name} {times}")
        case "count", (irq, times):
            files.machine.irqs[irq].count_many(0, times)
