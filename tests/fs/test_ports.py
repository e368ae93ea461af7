"""The 8259 pair's ports, as a file under the debug directory."""

import errno

import pytest

from pseudokern.fs.ports import has_ports, show_ports, store_ports
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine


@pytest.fixture(scope="module")
def machine():
    return Machine(load("q4-noapic"), seed=1)


def registers(machine):
    return dict(line.split() for line in show_ports(machine).decode().splitlines())


def test_the_file_shows_requests_masks_and_triggers_of_both_chips(machine):
    # Unmasked: timer, keyboard, cascade, ttyS0; rtc0, acpi, the PCI line, the mouse.
    # Level, as firmware says: 5; 9, 10 and 11.
    assert registers(machine) == {
        "0x020": "0x00",
        "0x021": "0xe8",
        "0x0a0": "0x00",
        "0x0a1": "0xe8",
        "0x4d0": "0x20",
        "0x4d1": "0x0e",
    }


@pytest.mark.parametrize("text", [b"0x21 0xff\n", b"33 255", b" 0x021  0o377 \n"])
def test_a_write_of_port_and_value_reaches_the_chip(machine, text):
    store_ports(machine, text)
    assert registers(machine)["0x021"] == "0xff"
    store_ports(machine, b"0x21 0xe8")
    assert registers(machine)["0x021"] == "0xe8"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (b"", "write PORT VALUE, like 0x21 0xff"),
        (b"0x21\n", "write PORT VALUE"),
        (b"0x21 0xff 1\n", "write PORT VALUE"),
        (b"port 1\n", "write PORT VALUE"),
        (b"0x60 1\n", "the ports are 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1"),
        (b"0x21 0x100\n", "a port takes a byte"),
        (b"0x21 -1\n", "a port takes a byte"),
        (b"0x21 \xff\n", "write PORT VALUE"),
    ],
)
def test_other_writes_are_einval_and_say_what_is_right(machine, text, hint):
    before = registers(machine)
    with pytest.raises(OSError, match=hint) as caught:
        store_ports(machine, text)
    assert caught.value.errno == errno.EINVAL
    assert registers(machine) == before


def test_a_machine_with_an_8259_has_the_file(machine):
    assert has_ports(machine)
