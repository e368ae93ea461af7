"""Every command explains itself, and costs no more than it needs."""

import subprocess
import sys

import pytest

COMMANDS = [(), ("boot",), ("halt",), ("dmesg",), ("machines",), ("machines", "show"), ("check",)]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_two_lines_to_type(pseudokern, command):
    shown = pseudokern(*command, "--help")

    assert shown.status == 0
    options = shown.out.index("Options:")
    typed = [line for line in shown.out[:options] if line.startswith("      ")]
    assert len(typed) == 2


def test_version_says_which_python_runs_it_and_whether_it_is_compiled(pseudokern):
    shown = pseudokern("--version")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert shown.status == 0
    (line,) = shown.out
    assert line.startswith("pseudokern 0.1.0, Python " + python)
    assert line.endswith((", interpreted", ", compiled"))


def test_no_command_shows_the_help(pseudokern):
    shown = pseudokern()
    assert shown.status == 0
    assert shown.out[0].startswith("Usage: pseudokern")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nope"], "pseudokern: no such command 'nope'; see: pseudokern --help"),
        (["check"], "pseudokern check: missing argument 'FILE...'; see: pseudokern check --help"),
        (
            ["halt", "--spede"],
            "pseudokern halt: unknown option --spede; see: pseudokern halt --help",
        ),
        (
            ["boot", "--spede", "2"],
            "pseudokern boot: unknown option --spede; did you mean --speed or --seed?",
        ),
    ],
)
def test_misuse_is_one_line_and_status_2(pseudokern, arguments, line):
    result = pseudokern(*arguments)
    assert (result.status, result.out, result.err) == (2, [], [line])


@pytest.mark.parametrize("arguments", [["machines"], ["machines", "show", "q4"], ["check", "x/y"]])
def test_reading_machine_files_imports_neither_trio_nor_fuse(arguments):
    script = (
        "import sys; from pseudokern.cli.main import main; main(sys.argv[1:]);"
        "sys.exit(any(name.split('.')[0] in ('trio', 'fuse', 'asyncio') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True)
    assert done.returncode == 0


def test_reader_that_goes_away_gets_no_traceback():
    shown = subprocess.run(
        f"{sys.executable} -m pseudokern machines show wide-1024 | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert shown.stdout.startswith("# The widest machine")
    assert shown.stderr == ""
