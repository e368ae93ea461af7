"""Compile the package once, into a copy; skip, loudly, where that cannot be."""

import importlib.util
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


def _why_not() -> str:
    cure = "type: scripts/setup test compile"
    if importlib.util.find_spec("mypyc") is None or importlib.util.find_spec("setuptools") is None:
        return f"mypyc is missing: {cure}"
    if shutil.which("gcc") is None:
        return f"gcc is missing: {cure}"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return f"the headers of Python are missing: {cure}"
    return ""


@pytest.fixture(scope="session")
def compiled_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a compiled copy of the package is: for PYTHONPATH."""
    if why := _why_not():
        pytest.skip(f"WHAT IS COMPILED IS NOT TESTED: {why}")
    directory = tmp_path_factory.mktemp("compiled")
    subprocess.run([PROJECT / "scripts/compile", "--into", directory], check=True, timeout=500)
    return directory


@pytest.fixture(scope="session")
def interpreted_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy without what may have been compiled in the checkout."""
    directory = tmp_path_factory.mktemp("interpreted")
    unwanted = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(PROJECT / "pseudokern", directory / "pseudokern", ignore=unwanted)
    return directory
