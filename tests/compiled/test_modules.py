"""What is compiled can be: nobody looks for its frames, and nothing of it can become stale."""

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pseudokern
from pseudokern import compiled
from pseudokern.kernel import context, stack
from pseudokern.x86 import window

CALL_NOBODY = {"ends_in_block"}
PACKAGE = Path(pseudokern.__file__).parent


def tree_of(module):
    return ast.parse(PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text())


def functions_of(tree):
    """Qualified names of all functions in a module."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            yield from (
                f"{node.name}.{part.name}"
                for part in node.body
                if isinstance(part, ast.FunctionDef)
            )


@pytest.mark.parametrize("module", compiled.MODULES)
def test_no_frame_that_somebody_looks_for_is_of_a_compiled_function(module):
    wanted = {*context._ENTRIES, *stack.METHODS, *window.SHORT_WAYS}
    found = set(functions_of(tree_of(module)))
    assert not found & wanted
    if f"pseudokern.{module}".startswith(stack._LAYERS):
        # Functions that bear the kernel's names stand in call traces, if they call somebody.
        public = {name for name in found if name.isidentifier() and not name.startswith("_")}
        assert not public - CALL_NOBODY


@pytest.mark.parametrize("module", compiled.MODULES)
def test_no_compiled_module_changes_the_class_of_an_object_or_uses_frames(module):
    text = ast.unparse(tree_of(module))
    assert "__class__ =" not in text
    assert "_getframe" not in text


@pytest.mark.parametrize("module", compiled.MODULES)
def test_constants_that_are_compiled_in_come_from_files_whose_change_is_noticed(module):
    watched = {f"pseudokern.{name}" for name in compiled.MODULES + compiled.CONSTANTS}
    for node in tree_of(module).body:
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("pseudokern."):
            finals = _finals(str(node.module)) & {alias.name for alias in node.names}
            assert not finals or node.module in watched, f"{finals} of {node.module}"


def _finals(module):
    path = PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py")
    return (
        set(re.findall(r"^(\w+): Final\b", path.read_text(), re.MULTILINE))
        if path.exists()
        else set()
    )


@pytest.mark.parametrize("module", compiled.MODULES)
def test_compiled_modules_exist_and_can_be_imported(module):
    assert importlib.import_module(f"pseudokern.{module}")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_module_that_has_changed_since_is_told_of_and_clean_forgets_what_was_compiled(
    compiled_package, tmp_path
):
    checkout = tmp_path / "checkout"
    shutil.copytree(compiled_package, checkout)
    (checkout / "scripts").mkdir()
    shutil.copy(PACKAGE.parent / "scripts/compile", checkout / "scripts")
    assert run(checkout, "--version").stdout.endswith("compiled\n")
    feed = checkout / "pseudokern/kernel/feed.py"
    os.utime(feed)
    told = run(checkout, "machines")
    assert told.returncode == 1
    assert told.stderr == (
        f"{feed} has changed since it was compiled;"
        " type: scripts/compile, or to run it interpreted: scripts/compile --clean\n"
    )
    subprocess.run([checkout / "scripts/compile", "--clean"], check=True)
    assert run(checkout, "machines").returncode == 0
    assert run(checkout, "--version").stdout.endswith("interpreted\n")


def run(checkout, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "pseudokern", *arguments],
        env={**os.environ, "PYTHONPATH": str(checkout)},
        cwd=checkout,
        check=False,
        capture_output=True,
        text=True,
    )
