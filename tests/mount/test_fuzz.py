"""After any writes whatever, nothing hangs, nothing broke, and the books still balance."""

import logging
import subprocess
import sys

import pytest

from pseudokern.irq.flags import IrqData
from pseudokern.machine.machine import Machine
from pseudokern.x86.apic_chip import ApicChip
from tests.mount.served import served

pytestmark = pytest.mark.mount

FAST = 4000
SLOW = 100_000
SLOW_PATIENCE_S = 900


def fuzz(tmp_path, preset: str, seed: int, writes: int, caplog) -> None:
    with served(tmp_path / "mountpoint", preset) as machine:
        with caplog.at_level(logging.WARNING, "pseudokern"):
            command = [sys.executable, "-m", "tests.mount.fuzzer"]
            command += [machine.directory, str(seed), str(writes)]
            writer = subprocess.run(
                command, check=False, capture_output=True, text=True, timeout=SLOW_PATIENCE_S
            )
        assert writer.returncode == 0, writer.stderr
        assert "written" in writer.stdout
        assert caplog.text == ""

        machine.shell("for c in $M/sys/devices/system/cpu/cpu*/online; do echo 1 > $c; done")
        machine.advance("10ms")
        machine.inside(lambda: assert_vectors_balance(machine.machine))
        machine.inside(lambda: assert_interrupts_go_to_online_cpus(machine.machine))
        assert_files_agree(machine)
        assert_it_still_works(machine)


@pytest.mark.parametrize("preset", ["laptop", "q4"])
def test_some_thousand_writes_leave_the_machine_consistent(tmp_path, preset, caplog):
    fuzz(tmp_path, preset, 1, FAST, caplog)


@pytest.mark.slow
@pytest.mark.timeout(SLOW_PATIENCE_S)
@pytest.mark.parametrize("seed", [2])
def test_a_hundred_thousand_writes_leave_the_machine_consistent(tmp_path, seed, caplog):
    fuzz(tmp_path, "q4", seed, SLOW, caplog)


def assert_vectors_balance(machine: Machine) -> None:
    """Every count is that of its map, and every vector in a map is somebody's."""
    vectors = machine.pc.vectors
    matrix = vectors.matrix
    size = matrix.end - matrix.start - matrix.system_bits_in_range
    for cpu, this in enumerate(matrix.maps):
        assert this.allocated == this.alloc_map.bit_count()
        assert this.managed == this.managed_map.bit_count()
        assert this.managed_allocated == (this.alloc_map & this.managed_map).bit_count()
        own = this.allocated - this.managed_allocated
        assert this.available == size - this.managed - own
        taken = sum(1 << vector for vector in vectors.vector_irq[cpu])
        assert taken & ~matrix.system_map == this.alloc_map & ~matrix.system_map
    online = [this for this in matrix.maps if this.online]
    assert matrix.global_available == sum(this.available for this in online)
    assert matrix.global_reserved >= 0


def assert_interrupts_go_to_online_cpus(machine: Machine) -> None:
    """Where a line that is in use really goes: to one online CPU, as effective_affinity says.

    As on Linux, a line that kept its vector while nobody had requested it shows the whole mask
    that was set meanwhile.
    """
    online, vectors = machine.kernel.online, machine.pc.vectors
    for desc in machine.irqs:
        is_used = desc.dstate & IrqData.IRQ_STARTED and desc.actions
        if is_used and isinstance(desc.chip, ApicChip):
            data = vectors.data(desc)
            assert online >> data.cpu & 1, desc.irq
            assert vectors.vector_irq[data.cpu].get(data.vector) is desc, desc.irq
            assert desc.effective_affinity in (1 << data.cpu, desc.affinity)


def assert_files_agree(machine) -> None:
    """/proc/interrupts and /proc/stat are well-formed and tell the same."""
    (machine.clock / "mode").write_text("step")
    rows = machine.rows()
    stat = (machine / "proc/stat").read_text()
    (intr,) = [line for line in stat.splitlines() if line.startswith("intr ")]
    numbers = list(map(int, intr.split()[2:]))
    for label, counts in rows.rows.items():
        if label.isdigit():
            assert numbers[int(label)] == sum(counts) % 2**32
    assert rows.cpus == list(range(machine.machine.kernel.nr_cpu_ids))


def assert_it_still_works(machine) -> None:
    path = (
        machine / "proc/irq/1/smp_affinity"
    )  # its driver cannot be unbound, nor its device be down
    path.write_text("1\n")
    assert int(path.read_text(), 16) == 1
    (machine.clock / "mode").write_text("free")
    machine.advance("1s")
