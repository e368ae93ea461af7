"""Give tests a machine of their own, by a fixture.

    @pytest.mark.pseudokern("server-64", cmdline="threadirqs")
    def test_my_script(pseudokern_machine):
        pseudokern_machine.run(["./tune-irqs.sh"])

With pytest --pseudokern, or pseudokern = true in the ini file, the fixture is also called machine.
Nothing else is imported until a test asks for it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pseudokern.testing.machine import SimulatedMachine

MARKER = (
    "pseudokern(machine, *, seed, kernel, cpus, cmdline, clock): which machine the fixture boots: "
    "a preset's name or a file; clock is step, free or wall"
)
DEFAULT_MACHINE = "laptop"


class ShortName:
    """The fixture's short name, for those who asked for it."""

    @pytest.fixture
    def machine(self, pseudokern_machine: "SimulatedMachine") -> "SimulatedMachine":
        """A simulated machine; the same as pseudokern_machine."""
        return pseudokern_machine


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pseudokern")
    group.addoption(
        "--pseudokern",
        action="store_true",
        help='Let the fixture "machine" be a simulated machine, too.',
    )
    group.addoption(
        "--pseudokern-machine",
        metavar="MACHINE",
        help="The machine of tests that name none: a preset or a file.",
    )
    parser.addini("pseudokern", 'let the fixture "machine" be a simulated machine', type="bool")
    parser.addini("pseudokern_machine", "the machine of tests that name none")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    if config.getoption("--pseudokern") or config.getini("pseudokern"):
        config.pluginmanager.register(ShortName(), "pseudokern-short-name")


@pytest.fixture
def pseudokern_machine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[SimulatedMachine]":
    """A simulated machine of the test's own: booted, its time standing still, not mounted."""
    from pseudokern.testing.machine import SimulatedMachine

    config = request.config
    named = config.getoption("--pseudokern-machine") or config.getini("pseudokern_machine")
    machine = _found(named or DEFAULT_MACHINE, config.rootpath)
    options: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("pseudokern"))):
        options |= marker.kwargs
        if marker.args:
            machine = _found(str(marker.args[0]), request.path.parent)
    directory = tmp_path_factory.mktemp("pseudokern")
    with SimulatedMachine(machine, directory, **options) as simulated:
        yield simulated


def _found(machine: str, directory: Path) -> str | Path:
    """A file's path, from where it was named; a preset's name as it is."""
    is_path = "/" in machine or machine.endswith(".toml")
    return directory / machine if is_path else machine
