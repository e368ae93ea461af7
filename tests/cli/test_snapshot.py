"""Whatever is given to snapshot makes a machine, or one line that says why not."""

import re
import shutil
import sys
import tempfile
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pseudokern.fs.likeness import prove
from pseudokern.machine.description import load
from pseudokern.machine.snapshot import Snapshot, SnapshotError
from pseudokern.machine.snapshot_rows import InterruptsError
from pseudokern.machine.snapshot_text import read_text

RECORDED = Path(__file__).parents[1] / "oracle/recordings/machines"
Q4 = (RECORDED / "q4/snapshot/t0").read_text()
ROWS = Q4.split("== /proc/interrupts\n")[1].split("== /proc/softirqs")[0]
HEADER, *LINES = ROWS.splitlines()

SEVENTH = """\
            CPU0       CPU1
   0:         42          0  IO-APIC                  2-edge      timer
   9:          0          3  IO-APIC                  9-fasteoi   acpi
  24:          7          0  PCI-MSIX-0000:00:03.0    0-edge      eth0-rx-0
 LOC:       1839       1880  Local timer interrupts
"""
OLD = """\
           CPU0       CPU1
  0:  147906832          0    IO-APIC-edge  timer
  1:         10          0    IO-APIC-edge  i8042
  9:          0          0   IO-APIC-fasteoi   acpi
 40:   99000000          0   PCI-MSI-edge      eth0
NMI:          0          0   Non-maskable interrupts
"""
ARM = """\
           CPU0       CPU1
 11:      23405      23410     GICv3  27 Level     arch_timer
 14:          5          0     GICv3  33 Level     uart-pl011
IPI0:      1200       1300       Rescheduling interrupts
"""


def wrapped(text: str, width: int) -> str:
    """As a terminal of that width shows it, and a mouse copies it."""
    return "\n".join(
        line[start : start + width]
        for line in text.splitlines()
        for start in range(0, max(len(line), 1), width)
    )


# What people send, by what has happened to it; and what is to be found in the machine file, or
# said about the text.
GOOD = {
    "quoted in a reply": ("\n".join(f"> {line}" for line in ROWS.splitlines()), "eth0"),
    "quoted twice": ("\n".join(f"> > {line}" for line in ROWS.splitlines()), "eth0"),
    "with carriage returns": (ROWS.replace("\n", "\r\n"), "eth0"),
    "coloured by grep": (ROWS.replace("eth0", "\x1b[01;31meth0\x1b[m"), "eth0"),
    "without its header": ("\n".join(LINES), "the header is missing"),
    "with blanks squeezed": (re.sub(" +", " ", ROWS), "eth0"),
    "wrapped by a terminal": (wrapped(ROWS, 80), "eth0"),
    "wrapped by a mail program": (re.sub(r"(?m)^(.{60,75}) +(\S.*)$", r"\1\n\2", ROWS), "eth0"),
    "between other text": (f"Hi all,\n\nsee below.\n\n{ROWS}\nAny idea?\n", "eth0"),
    "after a prompt": (f"root@prod7:~# cat /proc/interrupts\n{ROWS}root@prod7:~# ", "eth0"),
    "as head shows files": (f"==> /proc/interrupts <==\n{ROWS}\n==> /proc/cmdline <==\nquiet\n",
                            'cmdline = "quiet"'),
    "as grep shows files": (re.sub("(?m)^", "/proc/interrupts:", ROWS.rstrip()), "eth0"),
    "cut in the middle": (ROWS[: len(ROWS) // 2], "eth0"),
    "without its first half": (ROWS[len(ROWS) // 2 :], "nvme"),
    "of a kernel from the future": (SEVENTH, "eth0-rx-0"),
    "of a kernel long gone": (OLD, "PCI-MSI"),
    "of another processor": (ARM, "rows IPI0 are not simulated"),
    "with a byte of another encoding": (ROWS.replace("edu0", "\ufffd"), "eth0"),
    "twice": (ROWS + ROWS, "came twice"),
    "with an absurd number": (ROWS.replace(" 54:", "9999999:"), "impossible numbers"),
}  # fmt: skip
BAD = {
    "empty": ("", "there is nothing in it"),
    "blank": ("\n \n\t\n", "there is nothing in it"),
    "binary": ("\x7fELF\x02\x01\0\0\0", "this is binary"),
    "prose": ("The quick brown fox\njumps over it.\n", "no line begins like a row"),
    "cut by a narrow terminal": ("\n".join(line[:40] for line in ROWS.splitlines()), "cut off"),
    "named rows only": ("\n".join(LINES[-12:]), "no row with a number"),
    "another file": (Q4.split("== /proc/stat\n")[1].split("==")[0], "no line begins like a row"),
    "too many CPUs": ("CPU0 CPU5000\n 1: 0 0 IO-APIC 1-edge a\n", "at most 1024 CPUs"),
}


@pytest.mark.parametrize("what", GOOD)
def test_damaged_text_makes_a_machine(what, pseudokern, tmp_path):
    text, wanted = GOOD[what]
    (tmp_path / "report.txt").write_text(text, newline="")

    made = pseudokern("snapshot", str(tmp_path / "report.txt"), "-o", str(tmp_path / "m.toml"))

    assert (made.status, made.err) == (0, [])
    assert wanted in re.sub(r"\n#? +", " ", (tmp_path / "m.toml").read_text())
    load(tmp_path / "m.toml")


@pytest.mark.parametrize("what", BAD)
def test_text_that_is_none_is_refused_in_one_line(what, pseudokern, tmp_path):
    text, why = BAD[what]
    (tmp_path / "report.txt").write_text(text)

    made = pseudokern("snapshot", str(tmp_path / "report.txt"))

    assert made.status == 1
    assert made.out == []
    assert len(made.err) == 1
    assert made.err[0].startswith(f"{tmp_path}/report.txt: ")
    assert why in made.err[0]


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_mutated_text_makes_a_machine_or_a_refusal_of_one_line(data):
    """Any cut, insertion, repetition or replacement of real text, several of them at once."""
    text = data.draw(st.sampled_from([ROWS, Q4, SEVENTH, OLD, ARM]))
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 400)))
        piece = data.draw(
            st.one_of(
                st.text(max_size=8),
                st.just(text[start:end] * 2),
                st.sampled_from(["\n", "CPU9 ", "-1", "4294967296", "\0", " 24:", "==> x <==\n"]),
            )
        )
        text = text[:start] + piece + text[end:]
    refusal, cpus = "", 0
    try:
        cpus = prove(Snapshot(read_text(text))).description.topology.nr_cpu_ids
    except (InterruptsError, SnapshotError) as error:
        refusal = str(error)
    assert cpus or (refusal and "\n" not in refusal)


def test_output_says_what_to_look_at_and_how_to_boot_it(pseudokern, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("report.txt").write_text(ROWS)

    made = pseudokern("snapshot", "report.txt", "-o", "theirs.toml")

    assert made.out == [
        "theirs.toml: 4 CPUs, 35 rows; 6 assumed, 0 different: see its top",
        "to boot it:  pseudokern boot ./theirs.toml",
    ]


def test_function_without_a_pin_gets_no_line(pseudokern, tmp_path):
    rows = " 24:  1  0  PCI-MSIX-0000:00:05.0  0-edge  virtio0-config\n"
    rows += " 25:  9  0  PCI-MSIX-0000:00:05.0  1-edge  virtio0-input\n"
    function = "/sys/bus/pci/devices/0000:00:05.0"
    text = f"== /proc/interrupts\n     CPU0  CPU1\n{rows}"
    for name, value in (("vendor", "0x1af4"), ("device", "0x1044"), ("class", "0xffff00"),
                        ("irq", "0"), ("driver", "virtio-pci")):  # fmt: skip
        text += f"== {function}/{name}\n{value}\n"
    Path(tmp_path, "report.txt").write_text(text)

    pseudokern("snapshot", f"{tmp_path}/report.txt", "-o", f"{tmp_path}/theirs.toml")

    (device,) = [
        device for device in load(tmp_path / "theirs.toml").devices if device.options.get("bdf")
    ]
    assert device.options["gsi"] == 0


def test_standard_input_is_read_for_a_dash(pseudokern, monkeypatch):
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(ROWS.encode())))

    made = pseudokern("snapshot", "-")

    assert made.status == 0
    assert "[machine]" in made.out


def test_directory_with_proc_and_sys_in_it_is_a_recording(pseudokern, tmp_path):
    for path, text in read_text(Q4).files.items():
        (tmp_path / "q4" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "q4" / path).write_text(text)

    made = pseudokern("snapshot", str(tmp_path / "q4"), "-o", str(tmp_path / "m.toml"))

    assert made.status == 0
    assert "0 different" in made.out[0]


def test_two_recordings_without_a_clock_ask_for_the_interval(pseudokern, tmp_path):
    (tmp_path / "a").write_text(ROWS)
    shutil.copy(tmp_path / "a", tmp_path / "b")

    refused = pseudokern("snapshot", str(tmp_path / "a"), "--again", str(tmp_path / "b"))
    made = pseudokern(
        "snapshot", str(tmp_path / "a"), "--again", str(tmp_path / "b"), "--interval", "2s"
    )

    assert refused.status == 1
    assert "--interval 10s" in refused.err[0]
    assert made.status == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("none.txt",), "none.txt cannot be read: no such file or directory"),
        (("none.txt", "--proc", "/proc"), "--proc and --sys go without RECORDED"),
        (("--sys", "/sys"), "--sys alone has no interrupts"),
        (("--again", "soon"), '--again "soon" is not there'),
        (("--interval", "0"), "--interval is 0"),
    ],
)
def test_mistake_on_the_command_line_is_told_in_one_line(arguments, why, pseudokern):
    made = pseudokern("snapshot", *arguments)

    assert made.status == 2
    assert len(made.err) == 1
    assert why in made.err[0]


def test_file_that_cannot_be_written_is_told_in_one_line(pseudokern):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as report:
        report.write(ROWS)
        report.flush()

        made = pseudokern("snapshot", report.name, "-o", "/nowhere/m.toml")

    assert made.status == 1
    assert made.err == ["/nowhere/m.toml: cannot be written: no such file or directory"]
