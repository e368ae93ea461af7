"""The machines that come with pseudokern can be booted, and are what they say they are."""

import re
from pathlib import Path

import pytest

from pseudokern.machine.description import Overrides, load
from pseudokern.machine.machine import Machine
from pseudokern.machine.source import PRESETS, preset_names

SNAPSHOT = Path(__file__).parents[1] / "oracle/recordings/machines/q4/snapshot/t0"


@pytest.fixture(scope="module")
def recorded():
    """The recorded files of q4, by path. A section's heading may go on after the path."""
    sections = re.split(r"^== ", SNAPSHOT.read_text(), flags=re.MULTILINE)
    pairs = (section.split("\n", 1) for section in sections if section)
    return {heading.split(" ")[0]: text.strip() for heading, text in pairs}


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize("cpus", [None, 1, 3, 16])
def test_preset_has_no_problem_with_any_number_of_cpus(name, cpus):
    machine = load(name, Overrides(cpus=cpus))
    assert machine.name == name
    assert cpus in (None, machine.topology.nr_cpu_ids)


@pytest.mark.parametrize("name", preset_names())
def test_preset_begins_by_saying_what_it_is_for_and_what_to_look_at(name):
    comment = (PRESETS / f"{name}.toml").read_text().split("\n[machine]")[0]
    assert all(line.startswith("#") for line in comment.strip().splitlines())
    assert "# Try:" in comment
    assert "# Look at" in comment


def test_laptop_has_4_cpus_and_a_card_with_4_busy_queues():
    laptop = load("laptop")
    rates = {device.name: device.options.get("rate") for device in laptop.devices}
    assert laptop.topology.nr_cpu_ids == 4
    assert rates["eth0"] == (400.0, 250.0, 300.0, 150.0)


def test_server_has_64_queues_on_node_0_and_two_drives_on_each_node():
    server = load("server-64")
    devices = {device.name: device.options for device in server.devices}
    assert (server.topology.nr_cpu_ids, server.nodes) == (64, 2)
    assert (devices["eth0"]["queues"], devices["eth0"]["node"]) == (64, 0)
    assert [devices[f"nvme{n}"]["node"] for n in range(4)] == [0, 0, 1, 1]


def test_wide_machine_has_1024_cpus_and_4096_vectors():
    wide = load("wide-1024")
    vectors = [
        device.options["queues"] + 1 for device in wide.devices if "queues" in device.options
    ]
    assert (wide.topology.nr_cpu_ids, wide.nodes) == (1024, 8)
    assert sum(vectors) == 4096


def test_q4_has_the_pci_functions_that_were_recorded(recorded):
    for device in load("q4").devices:
        if "bdf" in device.options:
            function = f"/sys/bus/pci/devices/{device.options['bdf']}"
            for key in ("vendor", "device", "class"):
                file = recorded.get(f"{function}/{key}")
                assert file in (None, f"{device.options[key]:#0{8 if key == 'class' else 6}x}")


def test_q4_has_every_pci_function_that_was_recorded(recorded):
    functions = {
        path.split("/")[5] for path in recorded if path.startswith("/sys/bus/pci/devices/")
    }
    ours = {device.options.get("bdf") for device in load("q4").devices}
    assert functions == ours - {None}


def test_q4_is_wired_as_recorded(recorded):
    """The irq file of a function shows its INTx line, unless it uses plain MSI."""
    for device in load("q4").devices:
        irq = recorded.get(f"/sys/bus/pci/devices/{device.options.get('bdf')}/irq", "0")
        if 0 < int(irq) < 24:
            assert (device.name, device.options["gsi"]) == (device.name, int(irq))


def test_q4_has_the_cpu_and_the_command_line_that_were_recorded(recorded):
    q4 = load("q4")
    cpuinfo = dict(re.findall(r"^(.*?)\s*: (.*)$", recorded["/proc/cpuinfo"], re.MULTILINE))

    assert q4.cmdline == recorded["/proc/cmdline"]
    assert q4.cpu_model.flags == cpuinfo["flags"]
    assert q4.cpu_model.bugs == cpuinfo["bugs"]
    assert q4.cpu_model.model_name == cpuinfo["model name"]
    assert f"{q4.cpu_model.mhz:.3f}" == cpuinfo["cpu MHz"]
    assert f"{q4.cpu_model.bogomips:.2f}" == cpuinfo["bogomips"]
    assert f"{q4.cpu_model.cache_kb} KB" == cpuinfo["cache size"]
    assert f"{q4.cpu_model.microcode:#x}" == cpuinfo["microcode"]
    assert q4.cpu_model.tlb_size == cpuinfo["TLB size"]


def test_q4_is_quiet_because_recorded_cases_compare_counts():
    for device in load("q4").devices:
        for key in ("rate", "keyboard_rate", "mouse_rate"):
            rate = device.options.get(key, 0.0)
            assert not any(rate) if isinstance(rate, tuple) else rate == 0


def test_epyc_has_8_nodes_and_a_cache_for_every_8_cores():
    machine = Machine(load("epyc-256"), 0)
    last = {machine.caches.of(cpu)[-1].cpus for cpu in range(256)}
    assert (machine.description.nodes, len(last)) == (8, 16)
    assert all(mask.bit_count() == 16 for mask in last)


def test_xeon_has_288_cpus_with_an_apic_id_each():
    topology = load("xeon-288").topology
    ids = {topology.apic_id(cpu) for cpu in range(topology.nr_cpu_ids)}
    assert (len(ids), max(ids) > 255) == (288, True)


def test_hybrid_laptop_has_8_fast_threads_and_8_slow_cores():
    topology = load("hybrid-16").topology
    assert (topology.nr_cpu_ids, topology.efficient_mask) == (16, 0xFF00)


def test_cloud_machine_has_two_interrupts_for_each_virtio_queue():
    machine = Machine(load("cloud-8"), 0)
    names = [action.name for desc in machine.irqs for action in desc.actions]
    assert [name for name in names if name.startswith("virtio1-")] == [
        "virtio1-config",
        *(f"virtio1-{way}.{n}" for n in range(8) for way in ("input", "output")),
    ]


def test_server_with_holes_has_cpus_3_35_and_40_off():
    kernel = Machine(load("offline-64"), 0).kernel
    assert kernel.possible & ~kernel.online == 1 << 3 | 1 << 35 | 1 << 40


def test_pc_of_1994_has_16_interrupts_on_the_8259_only():
    machine = Machine(load("pc-1994"), 0)
    assert [desc.irq for desc in machine.irqs] == list(range(16))
    assert {desc.chip.name for desc in machine.irqs if desc.actions} == {"XT-PIC"}
