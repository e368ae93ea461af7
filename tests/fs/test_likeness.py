"""A snapshot boots into the machine that was recorded."""

import os
import re
from pathlib import Path

import pytest

from pseudokern.fs.interrupts import records_interrupts
from pseudokern.fs.likeness import prove
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from pseudokern.machine.snapshot import Snapshot
from pseudokern.machine.snapshot_files import Recording, read_directories
from pseudokern.machine.snapshot_text import read_text
from pseudokern.machine.source import preset_names
from tests.fs.conftest import SNAPSHOTS, Files
from tests.fs.recorded import record, rows_without_counts

RECORDED_MACHINES = sorted(path.name for path in SNAPSHOTS.iterdir())
HERE = Recording({}) if os.uname().machine != "x86_64" else read_directories(Path("/proc"), None)
TOPOLOGY = re.compile(r"sys/devices/system/(cpu/(online|possible|present|offline)$|node/)")

# What the shapes below are of, for tests that look at one row.
IR = """           CPU0       CPU1
  9:          0          1  IR-IO-APIC   9-fasteoi   acpi
 24:          0          0  DMAR-MSI   0-edge      dmar0
 30:          5          0  IR-PCI-MSIX-0000:03:00.0   0-edge      enp3s0
 31:          5          0  IR-PCI-MSIX-0000:03:00.0   1-edge      enp3s0-TxRx-0
"""


def boot(text: str, tmp_path: Path) -> Machine:
    path = tmp_path / "snapshot.toml"
    path.write_text(text)
    return Machine(load(path), seed=1)


def read_or_nothing(files: Files, path: str) -> str | None:
    """A file's text; None where the recording is of something that is not simulated."""
    try:
        return files.read(f"/{path}").decode().strip()
    except FileNotFoundError:
        return None


def recorded_text(name: str, which: str = "t0") -> Recording:
    return read_text((SNAPSHOTS / name / "snapshot" / which).read_text())


@pytest.mark.parametrize("name", RECORDED_MACHINES)
def test_recorded_machine_boots_into_its_rows_masks_and_topology(name, tmp_path):
    recording = recorded_text(name)
    proven = prove(Snapshot(recording))

    files = Files(boot(proven.text, tmp_path))

    assert proven.remarks == ()
    text = files.read("/proc/interrupts").decode()
    assert rows_without_counts(text) == rows_without_counts(recording.files["proc/interrupts"])
    compared = 0
    for path, recorded in recording.files.items():
        is_mask = re.fullmatch(r"proc/irq/\d+/((smp|effective)_affinity(_list)?|node)", path)
        if is_mask or path == "proc/irq/default_smp_affinity" or TOPOLOGY.match(path):
            ours = read_or_nothing(files, path)
            if ours is not None:
                assert (path, ours) == (path, recorded.strip())
                compared += 1
    assert compared > 100


@pytest.mark.skipif(
    not any(re.search(r"CPU\d", text) for text in [HERE.get("proc/interrupts")]),
    reason="this machine's /proc/interrupts cannot be read, or is no x86 PC's",
)
def test_this_very_machine_differs_in_counts_only(tmp_path):
    recording = read_directories(Path("/proc"), Path("/sys"))

    proven = prove(Snapshot(recording))

    text = Files(boot(proven.text, tmp_path)).read("/proc/interrupts").decode()
    assert rows_without_counts(text) == rows_without_counts(recording.files["proc/interrupts"])


@pytest.mark.slow
def test_interrupts_of_1024_cpus_alone_boot_into_the_same_4096_rows(tmp_path):
    original = b"".join(records_interrupts(Machine(load("wide-1024"), seed=1))).decode()

    proven = prove(Snapshot(read_text(original)))

    text = b"".join(records_interrupts(boot(proven.text, tmp_path))).decode()
    assert rows_without_counts(text) == rows_without_counts(original)


@pytest.mark.parametrize("name", [name for name in preset_names() if "1024" not in name])
def test_snapshot_of_a_preset_boots_into_the_same_rows_and_masks(name, tmp_path):
    original = Machine(load(name), seed=1)
    recording = record(original)

    proven = prove(Snapshot(recording))

    ours = record(boot(proven.text, tmp_path))
    assert proven.remarks == ()
    assert rows_without_counts(ours.files["proc/interrupts"]) == rows_without_counts(
        recording.files["proc/interrupts"]
    )
    for path, text in recording.files.items():
        is_compared = path.startswith(("proc/irq/", "sys/kernel/irq/", "sys/devices/system/"))
        if is_compared and not path.endswith(("per_cpu_count", "spurious")):
            assert (path, ours.files.get(path)) == (path, text)
    assert ours.fixed == recording.fixed


def test_rows_of_a_remapping_unit_come_back_with_their_numbers(tmp_path):
    proven = prove(Snapshot(read_text(IR)))

    text = Files(boot(proven.text, tmp_path)).read("/proc/interrupts").decode()

    assert proven.remarks == ()
    assert " 24:          0          0  DMAR-MSI   0-edge      dmar0" in text
    assert "IR-PCI-MSIX-0000:03:00.0   1-edge      enp3s0-TxRx-0" in text


CLOUD = """\
           CPU0       CPU1
  1:          0          9   IO-APIC   1-edge      i8042
  9:          0          4   IO-APIC   9-fasteoi   acpi
 24:      12345          0  Hyper-V PCIe MSI 4611686018695757824-edge      nvme0q0
 25:          0          0   xen-dyn    -event     eth0
 26:         17          0  HPET-MSI   3-edge      hpet3
NMI:          0          0   Non-maskable interrupts
LOC:       4321       4321   Local timer interrupts
HYP:         17         23   Hypervisor callback interrupts
HVS:          1          1   Hyper-V stimer0 interrupts
ERR:          0
MIS:          0
"""


def test_controllers_that_are_not_simulated_keep_their_names_and_numbers(tmp_path):
    machine = boot(prove(Snapshot(read_text(CLOUD))).text, tmp_path)

    text = b"".join(records_interrupts(machine)).decode()

    assert rows_without_counts(text)[1:] == rows_without_counts(CLOUD)[1:]


def test_interrupt_of_a_controller_known_by_name_comes_and_can_be_moved(tmp_path):
    made = prove(Snapshot(read_text(CLOUD))).text.replace(
        'names = ["hpet3"]', 'names = ["hpet3"]\nrate = "100 Hz"'
    )
    files = Files(boot(made, tmp_path))
    files.run_for(1_000_000_000)
    before = files.rows()["26"]

    files.write("/proc/irq/26/smp_affinity_list", str(before.index(0)))
    files.run_for(1_000_000_000)

    after = files.rows()["26"]
    assert sum(before) > 50
    assert after[before.index(0)] > 50


def test_mask_that_somebody_wrote_is_written_again_and_the_cpu_is_the_same(tmp_path):
    files = Files(Machine(load("server-64"), seed=1))
    files.write("/proc/irq/60/smp_affinity_list", "5,7,40")
    files.run_for(3_000_000_000)
    recording = record(files.machine)

    ours = record(boot(prove(Snapshot(recording)).text, tmp_path))

    assert recording.get("proc/irq/60/smp_affinity_list") == "5,7,40"
    assert ours.get("proc/irq/60/smp_affinity_list") == "5,7,40"
    target = recording.get("proc/irq/60/effective_affinity_list")
    assert ours.get("proc/irq/60/effective_affinity_list") == target


def test_rates_of_two_recordings_are_those_of_the_machine(tmp_path):
    """eth0 of the preset gets 400, 250, 300 and 150 frames a second on its four queues."""
    files = Files(Machine(load("laptop"), seed=1))
    files.run_for(1_000_000_000)
    first = record(files.machine)
    first.files["proc/uptime"] = files.read("/proc/uptime").decode()
    files.run_for(20_000_000_000)
    second = record(files.machine)
    second.files["proc/uptime"] = files.read("/proc/uptime").decode()

    description = prove(Snapshot(first, second)).description

    eth0 = next(device for device in description.devices if device.name == "eth0")
    assert eth0.driver == "pseudokern.drivers.nic"
    assert eth0.options["rate"] == pytest.approx((400, 250, 300, 150), rel=0.15)
