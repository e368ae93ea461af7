"""snapshot of a mounted machine, taken as of a real one, boots into the same files."""

import pytest

from tests.fs.recorded import rows_without_counts
from tests.mount.booted import pseudokern

pytestmark = pytest.mark.mount


def test_snapshot_of_a_mounted_machine_boots_into_its_rows_masks_and_topology(boot, tmp_path):
    original = boot("server-64", "--clock", "step", at="original").directory
    (original / "proc/irq/70/smp_affinity_list").write_text("3,5,40-41")
    (original / "sys/devices/system/cpu/cpu9/online").write_text("0")
    file = tmp_path / "copy.toml"
    made = pseudokern(
        "snapshot", "--proc", original / "proc", "--sys", original / "sys", "-o", file
    )
    assert made.returncode == 0, made.stderr
    assert "0 different" in made.stdout

    copy = boot(file, "--clock", "step", at="copy").directory

    assert rows_without_counts((copy / "proc/interrupts").read_text()) == rows_without_counts(
        (original / "proc/interrupts").read_text()
    )
    for pattern in ("proc/irq/*/smp_affinity", "proc/irq/*/effective_affinity"):
        for path in original.glob(pattern):
            if (original / path).stat().st_mode & 0o400:
                same = copy / path.relative_to(original)
                assert (path, same.read_text()) == (path, path.read_text())
                assert same.stat().st_mode == path.stat().st_mode
    for name in ("cpu/online", "cpu/possible", "node/node1/cpulist", "cpu/cpu40/topology/core_id"):
        path = f"sys/devices/system/{name}"
        assert (copy / path).read_text() == (original / path).read_text()


@pytest.mark.parametrize("machine", ["epyc-256", "hybrid-16", "offline-64", "q4"])
def test_snapshot_of_a_mounted_machine_boots_into_its_caches(machine, boot, tmp_path):
    original = boot(machine, "--clock", "step", at="original").directory
    file = tmp_path / "copy.toml"
    made = pseudokern(
        "snapshot", "--proc", original / "proc", "--sys", original / "sys", "-o", file
    )
    assert made.returncode == 0, made.stderr

    copy = boot(file, "--clock", "step", at="copy").directory

    cpus = [path.parent.name for path in original.glob("sys/devices/system/cpu/cpu[0-9]*/cache")]
    assert len(cpus) >= 4
    for cpu in (cpus[0], cpus[len(cpus) // 3], cpus[-1]):
        caches = f"sys/devices/system/cpu/{cpu}/cache"
        names = [path.relative_to(original) for path in original.glob(f"{caches}/*/*")]
        assert len(names) >= 40
        for name in names:
            assert (name, (copy / name).read_text()) == (name, (original / name).read_text())


def test_card_keeps_the_name_that_its_vectors_do_not_tell(boot, tmp_path):
    machine = tmp_path / "mlx5.toml"
    machine.write_text(
        '[machine]\ncpus = 2\n[[device]]\nname = "ens5"\ndriver = "pseudokern.drivers.nic"\n'
        'style = "mlx5"\nqueues = 2\n'
    )
    original = boot(machine, "--clock", "step", at="original").directory
    file = tmp_path / "copy.toml"
    made = pseudokern(
        "snapshot", "--proc", original / "proc", "--sys", original / "sys", "-o", file
    )
    assert made.returncode == 0, made.stderr
    assert 'name = "ens5"' in file.read_text()
