"""A machine into which modules are loaded as insmod does: by its debug files."""

import textwrap

import pytest

from pseudokern.machine.description import Overrides, load
from pseudokern.machine.machine import Machine
from tests.fs.conftest import Files

DEBUG = "/sys/kernel/debug/pseudokern"
MS = 1_000_000
SECOND_NS = 1_000_000_000

HEAD = """
import errno
from pseudokern.module import *


class Example(Module):
"""


class Laboratory(Files):
    """A machine without load, and modules that are written to a directory."""

    def __init__(self, machine, directory):
        super().__init__(machine)
        self.directory = directory

    def file(self, body, name="example"):
        """A module: what its class has, without the head."""
        path = self.directory / f"{name}.py"
        path.write_text(HEAD + textwrap.indent(textwrap.dedent(body), "    "))
        return path

    def insmod(self, body, *arguments, name="example"):
        path = self.file(body, name)
        self.write(f"{DEBUG}/modules/load", " ".join([str(path), *arguments]))

    def rmmod(self, name="example"):
        self.write(f"{DEBUG}/modules/unload", name)

    def refused(self, action, *arguments, **words):
        """The errno of what action raises; 0 if it does not."""
        try:
            action(*arguments, **words)
        except OSError as error:
            return error.errno
        return 0

    @property
    def code(self):
        return self.machine.modules.by_name["example"].code

    def log(self):
        """What was said since the machine was up."""
        records = [r for r in self.machine.kernel.log if r.time_ns >= SECOND_NS]
        return [record.text for record in records]

    def modules(self):
        return self.read("/proc/modules").decode().splitlines()


@pytest.fixture
def lab(tmp_path):
    file = tmp_path / "lab.toml"
    file.write_text('[machine]\nname = "lab"\ncpus = 2\nseed = 5\n\n[load]\nuser = "0%"\n')
    description = load(file, Overrides())
    return Laboratory(Machine(description, description.seed), tmp_path)
