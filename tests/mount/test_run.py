"""Programs that run inside see the simulated machine, and nothing of the real interrupts."""

import os
import pty
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mount.booted import PATIENCE_S, PSEUDOKERN, needs_program, pseudokern, wait_until

pytestmark = [pytest.mark.mount, pytest.mark.root]

COMMAND = f"{shlex.quote(sys.executable)} -m pseudokern"


@pytest.fixture(params=["root", "user"])
def shell(request, public_place, as_user):
    """Run a script as root and as an ordinary user; $RUN is pseudokern run."""

    def run(script: str) -> subprocess.CompletedProcess[str]:
        before = as_user() if request.param == "user" else []
        return subprocess.run(
            [*before, "bash", "-c", script],
            env={
                "RUN": f"{COMMAND} run",
                "M": str(public_place),
                "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
                "XDG_STATE_HOME": str(public_place),
                "LC_ALL": "C",
            },
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    return run


def is_running(seed: int) -> bool:
    """Is there a process of a run with this seed?"""
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"--seed\0{seed}\0".encode() in status.read_bytes():
                return True
        except OSError:
            continue  # it has just ended
    return False


def test_program_and_its_children_see_the_machine(shell):
    said = shell(
        """
        $RUN laptop -- sh -c '
            head -n 1 /proc/interrupts; cat /proc/version
            cat /sys/devices/system/cpu/online /proc/irq/29/smp_affinity
            ls -d /sys/fs/cgroup /sys/kernel/debug /sys/kernel/tracing
            (grep -c ^processor /proc/cpuinfo)'
        """
    )
    assert said.stderr == ""
    assert said.stdout.split() == [
        *("CPU0", "CPU1", "CPU2", "CPU3"),
        *("Linux", "version", "6.12.0-pseudokern", "(simulated)"),
        *("0-3", "f", "/sys/fs/cgroup", "/sys/kernel/debug", "/sys/kernel/tracing", "4"),
    ]


def test_program_writes_to_the_machine_and_is_refused_by_it(shell):
    said = shell(
        """
        $RUN laptop -- bash -c '
            echo 2 > /proc/irq/29/smp_affinity; cat /proc/irq/29/smp_affinity
            echo 0 > /proc/irq/29/smp_affinity'
        """
    )
    assert said.stdout == "2\n"
    assert said.stderr == "bash: line 3: echo: write error: Invalid argument\n"
    assert said.returncode == 1


def test_exit_status_of_the_program_is_that_of_run(shell):
    script = "$RUN laptop -- sh -c 'exit 7'; echo $?; $RUN laptop -- sh -c 'kill -TERM $$'; echo $?"
    assert shell(script).stdout == "7\n143\n"


def test_program_that_does_not_exist_gives_127_and_one_that_is_none_126(shell):
    said = shell("$RUN laptop -- no-such-program; echo $?; $RUN laptop -- /etc/passwd; echo $?")
    assert said.stdout == "127\n126\n"
    assert said.stderr.splitlines() == [
        "no-such-program: no such file or directory",
        "/etc/passwd: permission denied",
    ]


def test_standard_input_output_and_other_descriptors_pass_through(shell):
    said = shell("echo in | $RUN laptop -- sh -c 'cat; echo out; echo err >&2; echo 3 >&3' 3>&1")
    assert (said.stdout, said.stderr) == ("in\nout\n3\n", "err\n")


def test_pipe_that_is_closed_ends_the_program_as_it_does_outside(shell):
    said = shell("$RUN laptop -- yes | head -n 1; echo ${PIPESTATUS[0]}")
    assert (said.stdout, said.stderr) == ("y\n141\n", "")


def test_working_directory_in_the_real_files_becomes_the_machine_s(shell):
    said = shell(
        "cd /proc/irq && $RUN laptop -- cat 29/smp_affinity; cd /sys && $RUN -- ls -d devices"
    )
    assert said.stdout.split() == ["f", "devices"]


def test_descriptors_of_the_real_files_become_the_machine_s(shell, request):
    said = shell(
        """
        $RUN laptop -- sh -c '
            cat /proc/self/fd/7/proc/irq/29/smp_affinity /proc/self/fd/8/29/smp_affinity
            cat <&9; readlink /proc/self/fd/7 /proc/self/fd/9; cat' \
            7< / 8< /proc/irq 9< /proc/irq/default_smp_affinity 0< /proc/version
        test $(id -u) != 0 || $RUN laptop -- sh -c '
            echo 3; cat /proc/irq/default_smp_affinity >&2' > /proc/irq/default_smp_affinity
        """
    )
    *inside, version = said.stdout.splitlines()
    assert inside == ["f", "f", "f", "/", "/proc/irq/default_smp_affinity"]
    assert "(simulated)" in version
    assert said.stderr == ("" if "user" in request.node.callspec.id else "3\n")


def test_descriptor_of_a_real_file_that_the_machine_has_not_is_refused(shell):
    said = shell("$RUN pc-1994 -- echo ran 9< /proc/irq/$(ls /proc/irq | sort -n | tail -n 1)")
    assert (said.returncode, said.stdout) == (1, "")
    assert "no such file or directory; nothing was run" in said.stderr


def test_real_interrupts_are_reached_neither_by_unmounting_nor_through_other_processes(shell):
    said = shell(
        """
        $RUN laptop -- bash -c '
            umount /proc/irq
            ls /proc/1/root/proc/irq
            unshare --mount true
            for irq in /proc/irq/*/smp_affinity; do stat --format %m $irq; done | sort -u'
        """
    )
    assert said.stdout == "/proc/irq\n"
    assert len(said.stderr.splitlines()) == 3


@pytest.mark.skipif(bool(why := needs_program("setpriv")), reason=why)
def test_root_reaches_nothing_through_processes_with_fewer_capabilities():
    """Root may look into them as he likes: daemons have given most capabilities away."""
    daemon = subprocess.Popen(
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "cat"], stdin=-1
    )
    try:
        comm = Path(f"/proc/{daemon.pid}/comm")
        wait_until(lambda: comm.read_text() == "cat\n", "setpriv is not cat yet")
        said = subprocess.run(
            [
                *PSEUDOKERN,
                "run",
                "--",
                "ls",
                f"/proc/{daemon.pid}/root/",
                f"/proc/{daemon.pid}/cwd/",
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
    finally:
        daemon.communicate(timeout=PATIENCE_S)
    assert said.stdout == ""
    assert said.stderr.count("Permission denied") == 2


def test_root_is_root_of_files_and_of_all_users(tmp_path):
    script = f"""
        id -u; touch {tmp_path}/mine; chown 7:9 {tmp_path}/mine; stat --format %u:%g {tmp_path}/mine
        setpriv --reuid=7 --regid=9 --clear-groups id -u
    """
    said = subprocess.run(
        [*PSEUDOKERN, "run", "--", "sh", "-c", script],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (said.stdout, said.stderr) == ("0\n7:9\n7\n", "")


def test_other_mounts_of_proc_show_the_machine_s_interrupts(tmp_path):
    (tmp_path / "chroot").mkdir()
    (tmp_path / "irq").mkdir()
    script = f"""
        mount -t proc proc {tmp_path}/chroot && mount --bind /proc/irq {tmp_path}/irq || exit
        {COMMAND} run laptop -- sh -c '
            cat {tmp_path}/chroot/irq/29/smp_affinity {tmp_path}/irq/29/smp_affinity'
    """
    said = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (said.stdout, said.stderr) == ("f\nf\n", "")


def test_what_is_bound_below_proc_net_is_not_seen_by_children(tmp_path):
    """Why /proc/net inside is this computer's. If a kernel does better one day, bind it."""
    (tmp_path / "dev").write_text("simulated\n")
    script = f"mount --bind {tmp_path}/dev /proc/$$/net/dev && cat /proc/net/dev; true"
    said = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert said.stderr == ""
    assert said.stdout.startswith("Inter-|")


def test_machine_runs_inside_of_a_machine(shell):
    said = shell(
        "$RUN laptop -- $RUN --cpus 6 -- sh -c 'head -n 1 /proc/interrupts; nproc; ls /proc/irq/29'"
    )
    assert said.stderr == ""
    assert said.stdout.split()[:7] == [*(f"CPU{cpu}" for cpu in range(6)), "6"]


def test_what_is_not_simulated_cannot_be_set(shell):
    said = shell(
        """
        $RUN laptop -- bash -c '
            echo 1 > /proc/sys/kernel/printk; cut -f 1 /proc/sys/kernel/printk
            echo 1 > /proc/sys/vm/swappiness'
        """
    )
    assert said.stdout == "1\n"
    assert said.stderr.endswith("/proc/sys/vm/swappiness: Read-only file system\n")


def test_nproc_says_how_many_cpus_the_machine_has_online(shell):
    said = shell(
        """
        $RUN --cpus 6 -- bash -c '
            nproc; nproc --all; nproc --ignore=2
            echo 0 > /sys/devices/system/cpu/cpu5/online; nproc
            echo $OMP_NUM_THREADS; OMP_NUM_THREADS=3 nproc; /usr/bin/nproc'
        OMP_NUM_THREADS=2 $RUN --cpus 6 -- nproc
        """
    )
    assert said.stdout.split() == ["6", "6", "4", "5", "6", "3", "6", "2"]


def test_irqbalance_has_a_directory_to_write_to(shell):
    said = shell("$RUN laptop -- sh -c 'touch /run/irqbalance/x && ls /run/irqbalance'")
    assert (said.stdout, said.stderr) == ("x\n", "")
    assert not os.path.exists("/run/irqbalance/x")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_machine_is_gone_after_run_whatever_ended_it(number, tmp_path):
    seed = 77_000 + number
    process = subprocess.Popen(
        [*PSEUDOKERN, "run", "laptop", "--seed", str(seed), "--", "sleep", "60"],
        stdin=subprocess.DEVNULL,
    )
    wait_until(lambda: os.readlink(f"/proc/{process.pid}/exe").endswith("sleep"), "sleep runs")
    assert is_running(seed)
    process.send_signal(number)
    assert process.wait(PATIENCE_S) == -number
    wait_until(lambda: not is_running(seed), "the machine is halted")


def test_ctrl_z_and_ctrl_c_stop_the_program_for_an_interactive_shell():
    """The shell has job control, and so has the program: it is the shell's own child."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["PS1"] = "$ "
        os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])

    def wait_for(words: bytes) -> None:
        said = b""
        while words not in said:
            said += os.read(terminal, 1000)

    try:
        os.write(terminal, f"{COMMAND} run laptop -- cat /proc/version -\n".encode())
        wait_for(b"(simulated)")
        os.write(terminal, b"\x1a")
        wait_for(b"Stopped")
        os.write(terminal, b"fg\n")
        wait_for(b"cat /proc/version -\r\n")
        os.write(terminal, b"again\n")
        wait_for(b"again\r\nagain\r\n")  # the terminal's echo, and cat's
        os.write(terminal, b"\x03")
        wait_for(b"$ ")
        os.write(terminal, b"echo status $?\n")
        wait_for(b"status 130")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def test_writes_are_recorded_as_they_are_with_boot(tmp_path):
    journal = tmp_path / "journal"
    said = pseudokern(
        *("run", "laptop", "--record", journal, "--"),
        *("sh", "-c", "echo 2 > /proc/irq/29/smp_affinity"),
    )
    assert (said.returncode, said.stderr) == (0, "")
    assert '"path": "/proc/irq/29/smp_affinity", "data": "2\\n"' in journal.read_text()


def test_directory_that_is_gone_is_no_obstacle(shell):
    said = shell("mkdir $M/gone; cd $M/gone; rmdir $M/gone; $RUN laptop -- sh -c 'cd /; nproc'")
    assert (said.returncode, said.stdout) == (0, "4\n")


def test_mistake_in_the_machine_is_told_and_nothing_is_run():
    said = pseudokern("run", "labtop", "--", "echo", "ran")
    assert (said.returncode, said.stdout) == (2, "")
    assert "labtop" in said.stderr


def test_program_without_dashes_is_told_where_they_go():
    said = pseudokern("run", "laptop", "cat", "/proc/interrupts")
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr == (
        "pseudokern run: /proc/interrupts: put -- before the program;"
        " like this: pseudokern run laptop -- nproc\n"
    )


def assert_refused_where_none_may_be_made(launcher: str, what: str) -> None:
    """The limit is one of the user namespace, so it is set in one of ours."""
    script = f"""
        echo 0 > /proc/sys/user/max_user_namespaces
        exec {launcher} {COMMAND} run laptop -- echo ran
    """
    said = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", script],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (said.returncode, said.stdout) == (1, "")
    (line,) = said.stderr.splitlines()
    assert line.startswith(f"no {what} namespace for user 0: ")
    assert line.endswith("allow it with: sudo sysctl user.max_user_namespaces=10000")


@pytest.mark.skipif(bool(why := needs_program("setpriv")), reason=why)
def test_without_namespaces_one_line_says_what_to_allow():
    assert_refused_where_none_may_be_made("setpriv --bounding-set=-sys_admin", "mount")


def test_root_who_may_mount_but_not_leave_his_user_namespace_runs_nothing():
    assert_refused_where_none_may_be_made("", "user")


def test_without_access_to_dev_fuse_one_line_says_what_to_allow(as_user, public_place):
    said = subprocess.run(
        [*as_user(device_mode=0o600), "sh", "-c", f"{COMMAND} run laptop -- echo ran"],
        check=False,
        env={"PATH": "/usr/bin:/bin", "XDG_STATE_HOME": str(public_place)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == "/dev/fuse may not be opened; allow it with: sudo chmod 666 /dev/fuse\n"
