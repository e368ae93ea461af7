"""The commands for modules say what is missing, and how to get it."""

import pytest


@pytest.mark.parametrize("command", [("insmod", "x.py"), ("rmmod", "x"), ("lsmod",)])
def test_without_a_machine_there_is_one_line_that_says_how_to_boot_one(
    pseudokern, tmp_path, command
):
    printed = pseudokern(*command, "--at", str(tmp_path))
    assert printed.status == 1
    assert printed.err == [
        f"{tmp_path}: no machine is mounted; boot one with: pseudokern boot --at {tmp_path}"
    ]


@pytest.mark.parametrize("command", ["insmod", "rmmod", "lsmod"])
def test_help_shows_lines_to_type(pseudokern, command):
    printed = pseudokern(command, "--help")
    assert printed.status == 0
    assert any(line.strip().startswith(f"pseudokern {command}") for line in printed.out[1:])
