"""ethtool and nvme say what the real ones said to real drivers, command by command."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from pseudokern.cli import ethtool, nvme
from tests.mount import recordings
from tests.mount.recordings import Said

pytestmark = [pytest.mark.mount]

PROGRAMS = {"ethtool": ethtool.command, "nvme": nvme.command}
UP, DOWN = "0x1003", "0x1002"

# What belongs to the emulator, to Debian's kernel or to the instant, and not to the driver.
DIFFERENT = [
    (re.compile(r"^(version: |firmware-version: ).*$", re.M), r"\1"),
    (re.compile(r"^(     .*: )[0-9]+$", re.M), r"\1N"),  # -S
    (re.compile(r"^(\tSpeed: )[0-9]+Mb/s$", re.M), r"\1N"),  # vmxnet3 has 10 Gb/s on ESXi
    (re.compile(r"^([0-9a-f]{2}:){39}[0-9a-f]{2}$", re.M), "KEY"),
]


def same(said: Said) -> Said:
    """said without that."""
    output = said.output
    for pattern, instead in DIFFERENT:
        output = pattern.sub(instead, output)
    return said._replace(output=output)


def run(text: str, directory: Path) -> Said:
    """A command, and what its output is piped through."""
    command, _, pipe = text.partition(" | ")
    program, *arguments = shlex.split(command)
    if program == "ip":
        flags = DOWN if arguments[-1] == "down" else UP
        (directory / "sys/class/net" / arguments[2] / "flags").write_text(flags)
        return Said("", "", 0)
    found = CliRunner().invoke(PROGRAMS[program], ["--at", str(directory), *arguments])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    said = Said(found.stdout, found.stderr, found.exit_code)
    if pipe:
        done = subprocess.run(
            ["sh", "-c", pipe], input=said.output, capture_output=True, text=True, check=False
        )
        said = said._replace(output=done.stdout, status=done.returncode)
    return said


@pytest.mark.parametrize("name", recordings.names())
def test_commands_say_what_they_said_on_linux(boot, name):
    machine = boot(recordings.MACHINE, "--clock", "step")
    wrong = []
    for command in recordings.commands(name):
        said = run(command.text, machine.directory)
        if same(said) != same(command.said):
            wrong.append(f"{name}.txt:{command.line}: {command.text}\n{said}\n{command.said}")
    assert not wrong, f"{len(wrong)} commands differ\n" + "\n".join(wrong[:5])
