"""Run commands in this process, with a supervisor that only notes what it was asked to run."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from pseudokern.cli.main import main


@pytest.fixture
def pseudokern(capsys):
    """Run one command: its exit status, and the lines of both outputs."""

    def run(*arguments):
        status = main(arguments)
        out, err = capsys.readouterr()
        return SimpleNamespace(status=status, out=out.splitlines(), err=err.splitlines())

    return run


@pytest.fixture
def machine_file(tmp_path, monkeypatch):
    """A machine without devices, as ./m.toml."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.toml").write_text('[machine]\nname = "m"\ncpus = 4\nseed = 7\n')
    return "m.toml"


@pytest.fixture
def supervisor(monkeypatch):
    """Stands in for pseudokern.run.supervisor: is up at once, then does what `then` does."""
    module = ModuleType("pseudokern.run.supervisor")
    module.ran = []
    module.before = lambda options: None
    module.after = lambda options: None

    def run_machine(options, ready):
        module.ran.append(options)
        module.before(options)
        ready()
        module.after(options)

    module.run_machine = run_machine
    monkeypatch.setitem(sys.modules, "pseudokern.run.supervisor", module)
    return module
