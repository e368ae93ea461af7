"""The fixture gives a test the machine that it asks for, and only if it asks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60


@pytest.fixture
def run_tests(tmp_path):
    """Run the tests of a text in another pytest, with the plugin: its exit status and output."""

    def run(text: str, *options: str, ini: str = "", name: str = "test_it.py"):
        (tmp_path / name).write_text(text)
        (tmp_path / "pytest.ini").write_text(f"[pytest]\naddopts = --strict-markers\n{ini}")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "pseudokern.testing.plugin", *options],
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        return done.returncode, done.stdout

    return run


def test_fixture_is_the_laptop_if_nobody_says_otherwise(run_tests):
    status, out = run_tests(
        "def test(pseudokern_machine):\n    assert pseudokern_machine.description.name == 'laptop'"
    )
    assert status == 0, out


@pytest.mark.parametrize(("options", "ini"), [(("--pseudokern",), ""), ((), "pseudokern = true\n")])
def test_short_name_is_there_for_those_who_ask(run_tests, options, ini):
    text = "def test(machine):\n    assert machine.interrupts().cpus == [0, 1, 2, 3]"

    assert run_tests(text, *options, ini=ini)[0] == 0


def test_without_being_asked_another_fixture_called_machine_stays(run_tests):
    """Also with the option: a fixture of the project goes before one of a plugin."""
    text = (
        "import pytest\n@pytest.fixture\ndef machine():\n    return 'mine'\n"
        "def test(machine):\n    assert machine == 'mine'\n"
    )
    assert run_tests(text)[0] == 0
    assert run_tests(text, "--pseudokern")[0] == 0


def test_without_being_asked_there_is_no_fixture_called_machine(run_tests):
    status, out = run_tests("def test(machine):\n    pass")

    assert status == 1
    assert "fixture 'machine' not found" in out


def test_marker_of_a_test_wins_over_that_of_its_module_and_over_the_option(run_tests):
    text = (
        "import pytest\n"
        "pytestmark = pytest.mark.pseudokern('q4', cmdline='quiet')\n"
        "def test_of_module(machine):\n"
        "    assert machine.description.name == 'q4'\n"
        "@pytest.mark.pseudokern('server-64', cpus=8)\n"
        "def test_of_its_own(machine):\n"
        "    assert machine.description.topology.nr_cpu_ids == 8\n"
        "    assert machine.read('proc/cmdline').strip().endswith('quiet')\n"
    )
    status, out = run_tests(text, "--pseudokern", "--pseudokern-machine", "wide-1024")
    assert status == 0, out


def test_file_is_found_beside_the_test_that_names_it(run_tests, tmp_path):
    (tmp_path / "mine.toml").write_text("[machine]\ncpus = 3\n")
    text = (
        "import pytest\n@pytest.mark.pseudokern('mine.toml')\n"
        "def test(machine):\n    assert machine.interrupts().cpus == [0, 1, 2]\n"
    )
    status, out = run_tests(text, "--pseudokern")
    assert status == 0, out


def test_plugin_imports_nothing_of_the_simulation_until_a_test_asks(run_tests):
    text = (
        "import sys\ndef test():\n"
        "    assert not [m for m in sys.modules if m.startswith(('pseudokern.x86', 'trio'))]\n"
    )
    status, out = run_tests(text)
    assert status == 0, out
