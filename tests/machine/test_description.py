"""A machine file is read completely, or every mistake in it is told in one go."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pseudokern.machine.description import Overrides, load
from pseudokern.machine.problems import DescriptionErrors

FOUR_CPUS = '[machine]\nname = "small"\ncpus = 4\n'
CARD = '[[device]]\nname = "eth0"\ndriver = "card"\n'


def test_machine_of_one_line_gets_plausible_defaults(read):
    machine = read("machine.cpus = 4")

    assert machine.name == "m"
    assert (machine.kernel, machine.hz, machine.seed) == ("6.12", 250, 0)
    assert (machine.ioapics, machine.gsis, machine.pic) == (1, 24, True)
    assert (machine.topology.sockets, machine.topology.cores, machine.topology.threads) == (1, 4, 1)
    assert machine.cpu_model.mhz == 2000.0
    assert machine.cost.entry_ns == 300
    assert machine.devices == ()


def test_quantities_become_plain_numbers(read):
    machine = read(
        FOUR_CPUS + '[cost]\nentry = "1.5 us"\n[load]\nuser = "12%"\nburst = "2 ms"\n'
        '[cpu]\nfrequency = "2596.131 MHz"\ncache = "512 KB"\nmicrocode = "0x1000065"\n'
    )

    assert machine.cost.entry_ns == 1500
    assert (machine.load.user, machine.load.burst_ns) == (0.12, 2_000_000)
    assert (machine.cpu_model.mhz, machine.cpu_model.cache_kb) == (2596.131, 512)
    assert machine.cpu_model.microcode == 0x1000065
    assert f"{machine.cpu_model.bogomips:.2f}" == "5192.26"


def test_costs_of_an_interrupt_add_up_to_1_to_3_us(read):
    cost = read(FOUR_CPUS).cost
    whole_ns = cost.delivery_ns + cost.entry_ns + cost.handler_ns + cost.eoi_ns + cost.exit_ns
    assert 1_000 <= whole_ns <= 3_000


def test_device_options_are_what_its_driver_asked_for(read):
    (eth0,) = read(
        FOUR_CPUS + CARD + 'queues = 2\nrate = "3 kHz"\naffinity = ["0", "1-3"]\nhandler = "2 us"\n'
    ).devices

    assert (eth0.name, eth0.driver) == ("eth0", "card")
    assert eth0.options["rate"] == (3000.0, 3000.0)
    assert eth0.options["affinity"] == (0b0001, 0b1110)
    assert eth0.options["handler"] == 2_000


def test_device_is_probed_before_another_that_it_names(read):
    second = CARD.replace("eth0", "eth1")
    third = CARD.replace("eth0", "eth2") + 'before = "eth0"\n'
    devices = read(FOUR_CPUS + CARD + second + third).devices
    assert [device.name for device in devices] == ["eth2", "eth0", "eth1"]


@pytest.mark.parametrize("other", ["eth9", "eth0"])
def test_device_before_itself_or_nobody_is_a_mistake(complaints, other):
    [said] = complaints(FOUR_CPUS + CARD + f'before = "{other}"\n')
    assert f'device "eth0": before is "{other}", no other device; name another' in said


def test_every_problem_is_told_with_file_line_and_hint(complaints):
    assert complaints(
        '[machine]\ncpus = 8\nhz = 50\nnode = 1\n\n[[device]]\nname = "eth0"\ndriver = "card"\n'
        'queues = 4096\nrate = 20\nafinity = ["0"]\n'
    ) == [
        "m.toml:3: [machine]: hz is 50; use 100, 250, 300, 1000",
        'm.toml:4: [machine]: unknown key "node"; did you mean "nodes"?',
        'm.toml:9: device "eth0": queues is 4096, but must be at most 2048; '
        "MSI-X has no more entries",
        'm.toml:10: device "eth0": rate is 20, a number without a unit; write it like "20 kHz"',
        'm.toml:11: device "eth0": unknown key "afinity"; did you mean "affinity"?',
    ]


def test_affinity_that_names_a_missing_cpu_is_refused(complaints):
    text = '[machine]\ncpus = 8\n[[device]]\nname = "eth0"\ndriver = "card"\naffinity = ["9"]\n'
    assert complaints(text) == [
        'm.toml:6: device "eth0": affinity[0] names CPU 9, but the machine has CPUs 0-7'
    ]


def test_two_devices_of_one_name_are_refused(complaints):
    assert complaints(FOUR_CPUS + CARD + CARD) == [
        'm.toml:8: device "eth0": name "eth0" is taken by device "eth0" on line 5; choose another'
    ]


def test_two_devices_in_one_slot_are_refused(complaints):
    other = CARD.replace("eth0", "eth1")
    assert complaints(
        FOUR_CPUS + CARD + 'bdf = "00:03.0"\n' + other + 'bdf = "0000:00:03.0"\n'
    ) == [
        'm.toml:11: device "eth1": bdf "0000:00:03.0" is taken by device "eth0" on line 7; '
        "choose another, or leave it out"
    ]


def test_devices_without_an_address_get_the_free_slots_in_order(read):
    text = FOUR_CPUS + CARD
    for name in ("eth1", "eth2"):
        text += CARD.replace("eth0", name)
    text = text.replace('name = "eth1"', 'name = "eth1"\nbdf = "00:02.0"')

    slots = {device.name: device.options["bdf"] for device in read(text).devices}
    assert slots == {"eth0": "0000:00:03.0", "eth1": "0000:00:02.0", "eth2": "0000:00:04.0"}


def test_edge_and_level_devices_cannot_use_one_line(complaints):
    line = '[[device]]\nname = "{0}"\ndriver = "line"\ngsi = 5\nshared = true\ntrigger = "{1}"\n'
    text = FOUR_CPUS + line.format("a", "edge") + line.format("b", "level")
    assert complaints(text) == [
        'm.toml:13: device "b": gsi 5 is level-triggered, but device "a" has it edge-triggered; '
        "choose another line"
    ]


def test_line_is_shared_only_if_both_devices_want_it(complaints, read):
    line = '[[device]]\nname = "{0}"\ndriver = "line"\ngsi = 16\ntrigger = "level"\nshared = {1}\n'
    both = FOUR_CPUS + line.format("a", "true") + line.format("b", "true")
    assert len(read(both).devices) == 2

    one = FOUR_CPUS + line.format("a", "false") + line.format("b", "true")
    assert complaints(one) == [
        'm.toml:13: device "b": gsi 16 is used by device "a" too, '
        'but device "a" does not share it; choose another line'
    ]


def test_pci_device_without_a_pin_has_no_line_and_shares_none(read):
    """Line 0 is another's, and edge-triggered."""
    text = f"""{FOUR_CPUS}
[[device]]
name = "a"
driver = "line"
gsi = 0

[[device]]
name = "b"
driver = "card"
gsi = 0
"""
    assert [device.options["gsi"] for device in read(text).devices] == [0, 0]


def test_line_beyond_the_io_apics_is_refused_until_there_is_another(complaints, read):
    device = '[[device]]\nname = "a"\ndriver = "line"\ngsi = 24\n'
    (line,) = complaints(FOUR_CPUS + device)
    assert "choose 0-23, or give the machine more ioapics" in line

    assert read(f"{FOUR_CPUS}ioapics = 2\n{device}").devices[0].options["gsi"] == 24


def test_unknown_driver_is_reported_where_it_stands(complaints):
    assert complaints(FOUR_CPUS + '[[device]]\nname = "x"\ndriver = "cart"\ncolour = "red"\n') == [
        'm.toml:6: device "x": driver "cart" does not exist; known are card, line'
    ]


def test_device_without_name_or_driver_is_reported(complaints):
    assert complaints(FOUR_CPUS + "[[device]]\n") == [
        'm.toml:4: device 1: name is missing; say what to call it, like name = "eth0"',
        "m.toml:4: device 1: driver is missing; "
        'say who runs it, like driver = "pseudokern.drivers.nic"',
    ]


def test_required_key_that_is_missing_is_explained(complaints):
    assert complaints(FOUR_CPUS + '[[device]]\nname = "x"\ndriver = "line"\n') == [
        'm.toml:4: device "x": gsi is missing; say which line it drives, like gsi = 16'
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "m.toml: [machine]: cpus is missing; say how many, like cpus = 4"),
        (
            "cpus = 4\n[machine]\ncpus = 4",
            "m.toml:1: cpus stands outside of a table; put it below [machine]",
        ),
        ("[config]\nx = 1\n[machine]\ncpus = 1", 'm.toml:1: unknown table "config"'),
        ("[devices]\n[machine]\ncpus = 1", 'unknown table "devices"; did you mean "device"?'),
        ("[device]\n[machine]\ncpus = 1", "device is not a list of tables; write [[device]]"),
        ("[[machine]]\ncpus = 1", "m.toml:1: [machine]: machine is not a table; write it once"),
        ("[machine]\ncpus = 0", "m.toml:2: [machine]: cpus is 0, but must be at least 1"),
        ("[machine]\ncpus = 1025", "cpus is 1025, but must be at most 1024"),
        ('[machine]\ncpus = "4"', 'cpus is "4", but must be a whole number'),
        (
            "[machine]\ncpus = 64\nsockets = 2\ncores = 16",
            "m.toml:2: [machine]: cpus is 64, but 2 sockets x 16 cores x 1 thread make 32; "
            "leave out cpus, or make them agree",
        ),
        ("[machine]\nsockets = 64\ncores = 64", "4096 CPUs are too many; at most 1024"),
        (
            "[machine]\ncpus = 4\nnodes = 3",
            "nodes is 3, which does not divide 1 socket of 4 cores evenly; leave it out",
        ),
        (
            "[machine]\ncpus = 4\npossible_cpus = 3",
            "possible_cpus is 3, but there are 4 CPUs already; leave it out",
        ),
        ('[machine]\ncpus = 1\n[cost]\nentry = "2 s"', 'entry is "2 s"; use at most "1000 ms"'),
        ('[machine]\ncpus = 1\n[load]\nuser = "200%"', "user is"),
        ('[machine]\ncpus = 1\nkernel = "6.13"', 'kernel is "6.13"; did you mean "6.1"?'),
        ("[machine\ncpus = 1", "m.toml:1: not TOML: expected ']'"),
        ("[machine]\ncpus = 1\ncpus = 2", "m.toml:3: not TOML: cannot overwrite a value"),
        ("x = " + "[" * 5000, "m.toml: is nested too deeply"),
        ("x = " + "1" * 5000, "m.toml: not TOML: exceeds the limit"),
    ],
)
def test_mistake_in_a_machine_file_is_one_line(complaints, text, complaint):
    assert any(complaint in line for line in complaints(text)), complaints(text)


def test_file_that_cannot_be_read_is_one_line(tmp_path):
    for path, why in (
        (tmp_path / "none.toml", "cannot be read: no such file or directory"),
        (tmp_path, "cannot be read: is a directory"),
    ):
        with pytest.raises(DescriptionErrors) as caught:
            load(path)
        assert str(caught.value) == f"{path}: {why}"


def test_file_that_is_not_utf_8_is_one_line(tmp_path):
    path = tmp_path / "m.toml"
    path.write_bytes(b"# \xff")
    with pytest.raises(DescriptionErrors, match="is not UTF-8 text: byte 0xff at 2"):
        load(path)


def test_unknown_machine_gets_the_presets_for_a_hint():
    with pytest.raises(DescriptionErrors) as caught:
        load("lapto")
    assert str(caught.value) == (
        'lapto: no such machine; did you mean "laptop"? the presets are '
        "laptop, cloud-8, epyc-256, hybrid-16, offline-64, pc-1994, q4, server-64, "
        "wide-1024, xeon-288, and a file is named like ./mine.toml"
    )


def test_command_line_wins_over_the_file(read):
    text = FOUR_CPUS + 'seed = 3\nkernel = "6.1"\ncmdline = "quiet maxcpus=2"\n'
    machine = read(text, Overrides(seed=9, kernel="6.18", cpus=6, cmdline="maxcpus=3"))

    assert (machine.seed, machine.kernel) == (9, "6.18")
    assert machine.cmdline == "quiet maxcpus=2 maxcpus=3"
    assert machine.topology.nr_cpu_ids == 6
    assert machine.topology.online_mask == 0b111


def test_other_number_of_cpus_keeps_the_shape_if_it_can(read):
    text = "[machine]\nsockets = 2\ncores = 16\nthreads = 2\n"
    shape = read(text, Overrides(cpus=8)).topology
    assert (shape.sockets, shape.cores, shape.threads, shape.nodes) == (2, 2, 2, 2)

    shape = read(text, Overrides(cpus=3)).topology
    assert (shape.sockets, shape.cores, shape.threads, shape.nodes) == (1, 3, 1, 2)
    assert [shape.node_mask(node) for node in range(2)] == [0b011, 0b100]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(
            [
                *("[machine]", "[[machine]]", "[[device]]", "[cost]", "device = [1]"),
                *("cpus = 4", "cpus = {a = 1}", "sockets = 0", "nodes = -1", "possible_cpus = 9"),
                *("hz = 250", "seed = 1979-05-27", "entry = 4", 'name = "a"', "user = ''"),
                *('driver = "line"', 'driver = "card"', "gsi = 3", "shared = nan"),
                *('rate = "3/s"', 'affinity = [3, "7"]', "bdf = '00:02.0'"),
            ]
        ),
        max_size=14,
    )
)
def test_any_file_is_a_machine_or_a_list_of_problems(read, lines):
    with contextlib.suppress(DescriptionErrors):
        read("\n".join(lines))
