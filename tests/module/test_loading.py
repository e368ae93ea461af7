"""Modules come and go, with the errno and the words of Linux."""

import errno

import pytest

from pseudokern.fs.attributes import Caller
from tests.module.conftest import SECOND_NS

_ROOT = Caller(uid=0, gid=0, pid=1)

NOTHING = """
def init(self): pass
def exit(self): pass
"""


def test_loaded_module_stands_in_proc_modules_until_it_is_unloaded(lab):
    assert lab.modules() == []
    lab.insmod(NOTHING)
    assert lab.modules() == ["example 16384 0 - Live 0xffffffffc0000000 (O)"]
    lab.rmmod()
    assert lab.modules() == []


def test_newest_module_comes_first_and_has_an_address_of_its_own(lab):
    lab.insmod(NOTHING, name="one")
    lab.insmod(NOTHING, name="two-and-more")
    assert [line.split()[0] for line in lab.modules()] == ["two_and_more", "one"]
    assert len({line.split()[5] for line in lab.modules()}) == 2


def test_first_module_taints_the_kernel_and_is_named_in_reports(lab):
    lab.insmod(NOTHING)
    lab.insmod(NOTHING, name="other")
    assert lab.log() == ["example: loading out-of-tree module taints kernel."]
    assert lab.read("/proc/sys/kernel/tainted") == b"4096\n"
    lab.command("sim line demo edge")
    lab.command("request line eth7 none hard")
    lab.command("enable line")
    assert "Modules linked in: other(O) example(O)" in lab.log()


def test_second_module_of_a_name_is_refused(lab):
    lab.insmod(NOTHING)
    assert lab.refused(lab.insmod, NOTHING) == errno.EEXIST


def test_file_that_is_not_there_or_relative_is_refused(lab):
    load = "/sys/kernel/debug/pseudokern/modules/load"
    assert lab.refused(lab.write, load, "/nowhere/x.py") == errno.ENOENT
    assert lab.refused(lab.write, load, "x.py") == errno.EINVAL
    assert lab.refused(lab.write, load, "") == errno.EINVAL
    assert lab.refused(lab.write, load, "'unbalanced") == errno.EINVAL


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def oops(:", "bad: bad.py:1: SyntaxError: invalid syntax (bad.py, line 1)"),
        ("x = 1\nraise ValueError('no')", "bad: bad.py:2: ValueError: no"),
        ("import sys\nsys.exit(3)", "bad: bad.py:2: SystemExit: 3"),
        ("x = 1", "bad: bad.py has 0 classes that are a Module, not one"),
        (
            "from pseudokern.module import *\nclass A(Module): pass\nclass B(Module): pass",
            "bad: bad.py has 2 classes that are a Module, not one",
        ),
        (
            "from pseudokern.module import *\nclass A(Module):\n    x: float = 1.0",
            "bad: parameter x: <class 'float'> is not int, bool, str or a list of them",
        ),
    ],
)
def test_file_that_is_no_module_is_refused_and_the_log_says_why(lab, text, said):
    (lab.directory / "bad.py").write_text(text)
    load = "/sys/kernel/debug/pseudokern/modules/load"
    assert lab.refused(lab.write, load, str(lab.directory / "bad.py")) == errno.ENOEXEC
    assert lab.log()[-1] == said
    assert lab.modules() == []


def test_file_is_read_anew_each_time(lab):
    lab.insmod("def init(self): self.pr_info('first')\ndef exit(self): pass")
    lab.rmmod()
    lab.insmod("def init(self): self.pr_info('other')\ndef exit(self): pass")
    assert lab.log()[1:] == ["example: first", "example: other"]


@pytest.mark.parametrize("refusal", ["raise OSError(errno.ENODEV, 'none')", "return -errno.ENODEV"])
def test_init_that_refuses_gives_its_errno_and_leaves_nothing(lab, refusal):
    body = f"def init(self):\n    self.proc_create('it', lambda: '')\n    {refusal}"
    assert lab.refused(lab.insmod, body) == errno.ENODEV
    assert lab.modules() == []
    assert lab.refused(lab.read, "/proc/it") == errno.ENOENT


def test_init_that_raises_gives_an_oops_and_can_be_tried_again(lab):
    assert lab.refused(lab.insmod, "def init(self): return 1 // 0") == errno.EFAULT
    assert lab.modules() == []
    assert any("ZeroDivisionError" in line for line in lab.log())
    assert int(lab.read("/proc/sys/kernel/tainted")) & 1 << 7
    lab.insmod(NOTHING)
    assert len(lab.modules()) == 1


def test_init_that_ends_the_machine_has_not_loaded_the_module(lab):
    lab.machine.kernel.panic_on_oops = 1
    refused = lab.refused(lab.insmod, "def init(self): raise RuntimeError('no')")
    assert refused == errno.EIO
    assert "Kernel panic - not syncing: Fatal exception" in lab.log()


def test_oops_in_init_shows_the_way_from_the_system_call(lab):
    lab.refused(lab.insmod, "def init(self): self.deeper()\ndef deeper(self): return 1 // 0")
    log = lab.log()
    assert any("Comm: insmod" in line for line in log)
    begin = log.index("Call Trace:")
    names = [line.split("+")[0].strip() for line in log[begin + 1 : begin + 9]]
    assert names == [
        "<TASK>", "init", "do_one_initcall", "do_init_module", "load_module",
        "__do_sys_finit_module", "do_syscall_64", "entry_SYSCALL_64_after_hwframe",
    ]  # fmt: skip
    assert log[begin + 9] == " </TASK>"


def test_unloading_refuses_what_is_not_there_in_use_or_permanent(lab):
    assert lab.refused(lab.rmmod) == errno.ENOENT
    lab.insmod("def init(self): pass", name="forever")
    assert lab.modules() == ["forever 16384 0 [permanent], Live 0xffffffffc0000000 (O)"]
    assert lab.refused(lab.rmmod, "forever") == errno.EBUSY
    lab.insmod(NOTHING)
    lab.code.try_module_get()
    assert lab.modules()[0].split()[2] == "1"
    assert lab.read("/sys/module/example/refcnt") == b"1\n"
    assert lab.refused(lab.rmmod) == errno.EWOULDBLOCK
    lab.code.module_put()
    lab.rmmod()


def test_init_and_exit_may_sleep_and_the_writer_waits(lab):
    body = """
    async def init(self):
        await self.msleep(20)
    async def exit(self):
        await self.msleep(30)
    """
    began_ns = lab.machine.timeline.now_ns
    lab.insmod(body)
    assert lab.machine.timeline.now_ns - began_ns >= 20_000_000
    lab.rmmod()
    assert lab.machine.timeline.now_ns - began_ns >= 50_000_000
    assert lab.modules() == []


def test_init_that_sleeps_and_refuses_gives_its_errno(lab):
    body = """
    async def init(self):
        await self.msleep(20)
        raise OSError(errno.EIO, "late")
    """
    file = lab.tree.open("/sys/kernel/debug/pseudokern/modules/load", 1, _ROOT)
    done = file.write(str(lab.file(body)).encode(), 0)
    assert lab.modules()[0].split()[4] == "Loading"
    assert lab.read("/sys/module/example/initstate") == b"coming\n"
    lab.run_for(SECOND_NS)
    assert done.error is not None
    assert done.error.errno == errno.EIO
    assert lab.modules() == []


def test_only_root_may_load_whatever_the_mode_of_the_file(lab):
    load = "/sys/kernel/debug/pseudokern/modules/load"
    lab.tree.chmod(load, 0o666, _ROOT)
    for folder in ("/sys/kernel/debug", "/sys/kernel/debug/pseudokern"):
        lab.tree.chmod(folder, 0o755, _ROOT)
    with pytest.raises(PermissionError, match="by the user who mounted"):
        lab.tree.open(load, 1, Caller(uid=1000, gid=1000, pid=1))


PARAMETERS = """
count: int = 3
verbose: bool = False
label: str = "none"
lines: list[int] = []
rate: int = parameter(5, mode=0o644, doc="changed at run time")
hidden: int = parameter(1, mode=0)
def init(self): pass
def exit(self): pass
"""


def shown(lab, name):
    return lab.read(f"/sys/module/example/parameters/{name}").decode()


def test_parameters_have_their_defaults_and_are_shown(lab):
    lab.insmod(PARAMETERS)
    assert [shown(lab, n) for n in ("count", "verbose", "label", "lines", "rate")] == [
        "3\n", "N\n", "none\n", "\n", "5\n"
    ]  # fmt: skip
    names = [name for name, _ in lab.tree.readdir("/sys/module/example/parameters")]
    assert "hidden" not in names


def test_parameters_are_read_as_the_kernel_reads_them(lab):
    lab.insmod(PARAMETERS, "count=0x10", "verbose", "label='two words'", "lines=1,2,3")
    assert [shown(lab, n) for n in ("count", "verbose", "label", "lines")] == [
        "16\n", "Y\n", "two words\n", "1,2,3\n"
    ]  # fmt: skip
    assert lab.code.lines == [1, 2, 3]


def test_unknown_parameter_is_ignored_with_a_word(lab):
    lab.insmod(PARAMETERS, "cuont=3")
    assert lab.log()[-1] == "example: unknown parameter 'cuont' ignored"
    assert len(lab.modules()) == 1


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("count=abc", "example: `abc' invalid for parameter `count'"),
        ("count", "example: `' invalid for parameter `count'"),
        ("count=9999999999", "example: `9999999999' invalid for parameter `count'"),
        ("verbose=maybe", "example: `maybe' invalid for parameter `verbose'"),
        ("lines=1,x", "example: `1,x' invalid for parameter `lines'"),
    ],
)
def test_bad_value_is_refused_with_the_kernels_words(lab, argument, said):
    assert lab.refused(lab.insmod, PARAMETERS, argument) == errno.EINVAL
    assert lab.log()[-1] == said
    assert lab.modules() == []


def test_writable_parameter_changes_the_attribute_and_others_do_not(lab):
    lab.insmod(PARAMETERS)
    lab.write("/sys/module/example/parameters/rate", "9\n")
    assert (lab.code.rate, shown(lab, "rate")) == (9, "9\n")
    assert lab.refused(lab.write, "/sys/module/example/parameters/rate", "x") == errno.EINVAL
    assert lab.refused(lab.write, "/sys/module/example/parameters/count", "1") == errno.EACCES
