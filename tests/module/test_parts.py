"""What a module can have of the kernel, and that nothing of it is left when it goes."""

import errno
from itertools import pairwise

import pytest

from pseudokern.fs.attributes import Caller
from tests.module.conftest import MS, SECOND_NS

_ROOT = Caller(uid=0, gid=0, pid=1)


def said(lab):
    """What the module itself logged."""
    return [line.removeprefix("example: ") for line in lab.log() if line.startswith("example: ")][
        1:
    ]


def test_timer_calls_once_a_second_in_the_softirq_of_the_cpu_that_armed_it(lab):
    lab.insmod("""
        def init(self):
            self.timer = self.timer_setup(self.beat)
            self.mod_timer(self.timer, self.jiffies + self.HZ)
        def exit(self):
            self.timer_delete_sync(self.timer)
        def beat(self):
            self.pr_info(f"beat on CPU {self.smp_processor_id()} at {self.ktime_get_ns()}")
            self.mod_timer(self.timer, self.jiffies + self.msecs_to_jiffies(1000))
    """)
    lab.run_for(3 * SECOND_NS + MS)
    assert [line.split(" at ")[0] for line in said(lab)] == ["beat on CPU 0"] * 3
    times = [int(line.split()[-1]) for line in said(lab)]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps == [pytest.approx(SECOND_NS, abs=10_000)] * 2
    lab.rmmod()
    lab.run_for(3 * SECOND_NS)
    assert len(said(lab)) == 3


def test_hrtimer_calls_to_the_microsecond(lab):
    lab.insmod("""
        def init(self):
            self.timer = self.hrtimer_setup(self.ring)
            self.hrtimer_start(self.timer, 1_500_000)
        def exit(self):
            self.hrtimer_cancel(self.timer)
        def ring(self):
            self.pr_info(str(self.ktime_get_ns()))
    """)
    lab.run_for(10 * MS)
    assert said(lab) == [str(SECOND_NS + 1_500_000)]


def test_tasklet_runs_after_the_handler_that_schedules_it(lab):
    lab.insmod("""
        def init(self):
            self.tasklet = self.tasklet_setup(self.bottom)
            self.request_irq(10, self.top)
        def exit(self):
            self.free_irq(10)
            self.tasklet_kill(self.tasklet)
        def top(self):
            self.tasklet_schedule(self.tasklet)
            self.pr_info("top")
            return IrqReturn.HANDLED
        def bottom(self):
            self.pr_info("bottom")
    """)
    lab.machine.pc.gsis.pulse(10)
    lab.run_for(MS)
    assert said(lab) == ["top", "bottom"]
    lab.rmmod()
    assert lab.machine.irqs[10].actions == []


def test_work_sleeps_in_a_kworker(lab):
    lab.insmod("""
        def init(self):
            self.work = self.init_work(self.slow)
            self.schedule_work(self.work)
            self.later = self.init_work(lambda: self.pr_info("later"))
            self.schedule_delayed_work(self.later, self.HZ)
        def exit(self):
            self.cancel_delayed_work_sync(self.later)
        async def slow(self):
            await self.msleep(20)
            self.pr_info(f"slept in {self.kernel.this.current.comm}")
    """)
    lab.run_for(2 * SECOND_NS)
    assert said(lab) == ["slept in kworker/0:0+events", "later"]
    pids = [name for name, _ in lab.tree.readdir("/proc") if name.isdigit()]
    assert b"kworker/0:0-events\n" in [lab.read(f"/proc/{pid}/comm") for pid in pids]
    lab.rmmod()


def test_thread_runs_until_it_is_stopped(lab):
    lab.insmod("""
        def init(self):
            self.thread = self.kthread_run(self.count, "counter")
        def exit(self):
            self.kthread_stop(self.thread)
        async def count(self):
            rounds = 0
            while not self.kthread_should_stop():
                rounds += 1
                await self.msleep(100)
            self.pr_info(f"{rounds} rounds")
    """)
    lab.run_for(SECOND_NS - 50 * MS)
    pids = [name for name, _ in lab.tree.readdir("/proc") if name.isdigit()]
    assert [lab.read(f"/proc/{pid}/comm") for pid in pids] == [b"counter\n"]
    lab.rmmod()
    assert said(lab) == ["10 rounds"]
    assert not lab.machine.irqs.kthreads.by_pid


def test_rmmod_waits_for_a_thread_that_has_something_to_finish(lab):
    lab.insmod("""
        def init(self):
            self.thread = self.kthread_run(self.work, "worker")
        def exit(self):
            self.kthread_stop(self.thread)
        async def work(self):
            while not self.kthread_should_stop():
                await self.msleep(1000)
            await self.msleep(50)
            self.pr_info("finished")
    """)
    lab.run_for(MS)
    began_ns = lab.machine.timeline.now_ns
    lab.rmmod()
    assert said(lab) == ["finished"]
    assert lab.machine.timeline.now_ns - began_ns >= 50 * MS
    assert lab.modules() == []


def test_handler_wakes_who_waits_for_a_completion(lab):
    lab.insmod("""
        def init(self):
            self.pressed = self.init_completion()
            self.request_irq(10, self.press)
            self.thread = self.kthread_run(self.wait, "waiter")
        def exit(self):
            self.free_irq(10)
            self.kthread_stop(self.thread)
        def press(self):
            self.pressed.complete()
            return IrqReturn.HANDLED
        async def wait(self):
            await self.pressed.wait()
            self.pr_info("pressed")
    """)
    lab.run_for(MS)
    lab.machine.pc.gsis.pulse(10)
    lab.run_for(MS)
    assert said(lab) == ["pressed"]
    lab.rmmod()


def test_threaded_handler_sleeps_in_its_thread(lab):
    lab.insmod("""
        def init(self):
            self.request_threaded_irq(10, None, self.read, flags=Irqf.ONESHOT, name="sensor")
        def exit(self):
            self.free_irq(10)
        async def read(self):
            await self.msleep(5)
            self.pr_info(f"read in {self.kernel.this.current.comm}")
            return IrqReturn.HANDLED
    """)
    lab.machine.pc.gsis.pulse(10)
    lab.run_for(SECOND_NS)
    assert said(lab) == ["read in irq/10-sensor"]
    lab.rmmod()
    assert not lab.machine.irqs.kthreads.by_pid


def test_device_of_a_module_is_probed_and_goes_with_it(lab):
    lab.insmod("""
        def init(self):
            from pseudokern.drivers.uart import Uart
            self.port = self.register_device(Uart, "ttyS9", gsi=5, rate="1 kHz")
        def exit(self):
            self.unregister_device(self.port)
    """)
    lab.run_for(SECOND_NS)
    assert b"ttyS9" in lab.read("/proc/interrupts")
    assert lab.machine.irqs[5].total > 500
    lab.rmmod()
    assert b"ttyS9" not in lab.read("/proc/interrupts")


def test_card_of_a_module_is_on_the_bus_while_the_module_is_there(lab):
    lab.insmod("""
        def init(self):
            from pseudokern.drivers.ahci import Ahci
            self.card = self.register_device(Ahci, "sata9", bdf="00:1e.0", rate="1 kHz")
        def exit(self):
            self.unregister_device(self.card)
    """)
    lab.run_for(100 * MS)
    assert b"ahci[0000:00:1e.0]" in lab.read("/proc/interrupts")
    assert lab.read("/sys/devices/pci0000:00/0000:00:1e.0/class") == b"0x010601\n"
    second = """
        def init(self):
            from pseudokern.drivers.ahci import Ahci
            self.register_device(Ahci, "sata8", bdf="00:1e.0")
    """
    assert lab.refused(lab.insmod, second, name="second") == errno.EEXIST
    lab.rmmod()
    assert not lab.machine.pc.pci.functions
    lab.run_for(100 * MS)


@pytest.mark.parametrize("bug", ["import sys; sys.exit(1)", "raise KeyboardInterrupt"])
def test_nothing_that_a_callback_raises_ends_the_machine(lab, bug):
    lab.insmod(f"""
        def init(self):
            self.timer = self.timer_setup(self.fail)
            self.mod_timer(self.timer, self.jiffies + 1)
            self.kthread_run(self.run, "runner")
        def exit(self): {bug}
        def fail(self):
            {bug}
        async def run(self):
            {bug}
    """)
    lab.run_for(SECOND_NS)
    assert sum(line.startswith("Oops: ") for line in lab.log()) == 2
    lab.rmmod()
    assert sum(line.startswith("Oops: ") for line in lab.log()) == 3
    assert lab.modules() == []


def test_device_with_a_key_that_is_none_is_refused(lab):
    body = """
        def init(self):
            from pseudokern.drivers.uart import Uart
            self.register_device(Uart, "ttyS9", baud=9600)
    """
    assert lab.refused(lab.insmod, body) == errno.EINVAL


PROC = """
def init(self):
    self.level = 1
    self.proc_create("driver/level", self.show, self.store, mode=0o644)
def exit(self):
    self.proc_remove("driver/level")
def show(self):
    return f"{self.level}\\n"
def store(self, text):
    if not text.strip().isdigit():
        raise OSError(errno.EINVAL, "no number")
    self.level = int(text)
    1 // self.level
"""


def test_file_in_proc_is_shown_and_stored_by_the_module(lab):
    lab.insmod(PROC)
    assert "driver" in [name for name, _ in lab.tree.readdir("/proc")]
    assert lab.read("/proc/driver/level") == b"1\n"
    lab.write("/proc/driver/level", "7\n")
    assert lab.read("/proc/driver/level") == b"7\n"
    assert lab.refused(lab.write, "/proc/driver/level", "seven") == errno.EINVAL
    assert lab.refused(lab.write, "/proc/driver/level", "0") == errno.EIO
    lab.rmmod()
    assert lab.refused(lab.read, "/proc/driver/level") == errno.ENOENT
    assert "driver" not in [name for name, _ in lab.tree.readdir("/proc")]


def test_file_that_is_open_when_its_module_goes_says_eio(lab):
    lab.insmod(PROC)
    file = lab.tree.open("/proc/driver/level", 0, _ROOT)
    assert file.read(100, 0) == b"1\n"
    lab.rmmod()
    assert lab.refused(file.read, 100, 0) == errno.EIO
    file.release()


def test_name_in_proc_that_is_taken_is_refused(lab):
    assert lab.refused(lab.insmod, "def init(self): self.proc_create('interrupts')") == errno.EEXIST


def test_what_exit_forgets_is_told_of_and_taken_back(lab):
    lab.insmod("""
        def init(self):
            self.timer = self.timer_setup(self.beat)
            self.mod_timer(self.timer, self.jiffies + self.HZ)
            self.request_irq(10, lambda: IrqReturn.HANDLED, name="forgotten")
            self.kthread_run(self.sleep, "sleeper")
            self.proc_create("forgotten", lambda: "")
        def exit(self): pass
        def beat(self):
            self.pr_info("after my end")
        async def sleep(self):
            await self.ssleep(100)
    """)
    lab.run_for(MS)
    lab.rmmod()
    log = lab.log()
    assert "example: exit() has left interrupt 10 (forgotten); call free_irq() there" in log
    assert "example: exit() has left thread sleeper; call kthread_stop() there" in log
    assert "example: exit() has left /proc/forgotten; call proc_remove() there" in log
    hint = "timer_list hint: beat"
    assert f"ODEBUG: free active (active state 0) object type: {hint} [example]" in log
    assert f"example: exit() has left {hint}; call timer_delete_sync() there" in log
    lab.run_for(3 * SECOND_NS)
    assert "example: after my end" not in lab.log()
    assert lab.machine.irqs[10].actions == []
    assert not lab.machine.irqs.kthreads.by_pid
    assert lab.refused(lab.read, "/proc/forgotten") == errno.ENOENT


def test_exit_that_forgets_nothing_leaves_no_word(lab):
    lab.insmod("""
        def init(self):
            self.timer = self.timer_setup(lambda: None)
            self.mod_timer(self.timer, self.jiffies + 1)
        def exit(self): pass
    """)
    lab.run_for(SECOND_NS)
    lab.rmmod()
    assert len(lab.log()) == 1


BUG = """
def init(self):
    self.timer = self.timer_setup(self.fail)
    self.work = self.init_work(self.fail)
    self.request_irq(10, self.fail)
    {start}
def exit(self):
    self.free_irq(10)
def fail(self):
    return self.nothing
"""


@pytest.mark.parametrize(
    "start",
    [
        "self.mod_timer(self.timer, self.jiffies + 1)",
        "self.schedule_work(self.work)",
        "self.hrtimer_start(self.hrtimer_setup(self.fail), 1000)",
        "self.tasklet_schedule(self.tasklet_setup(self.fail))",
        "self.pc.gsis.pulse(10)",
    ],
)
def test_callback_that_raises_gives_an_oops_and_the_machine_goes_on(lab, start):
    lab.insmod(BUG.format(start=start))
    lab.run_for(SECOND_NS)
    assert sum("no attribute 'nothing'" in line for line in lab.log()) == 1
    assert any(line.startswith("Oops: ") for line in lab.log())
    assert int(lab.read("/proc/sys/kernel/tainted")) & 1 << 7
    lab.rmmod()
    assert lab.modules() == []


def test_lockup_of_a_thread_names_its_function_and_module(lab):
    lab.insmod("""
        def init(self):
            self.kthread_run(self.spin, "hog")
        def exit(self): pass
        async def spin(self):
            self.mdelay(25_000)
    """)
    lab.run_for(26 * SECOND_NS)
    assert any("BUG: soft lockup - CPU#0 stuck for" in line for line in lab.log())
    [where] = [line for line in lab.log() if line.startswith("RIP: ")]
    assert where.startswith("RIP: 0010:spin+")
    assert where.endswith(" [example]")


def test_thread_that_raises_dies_alone(lab):
    lab.insmod("""
        def init(self):
            self.kthread_run(self.fail, "doomed")
        def exit(self): pass
        async def fail(self):
            await self.msleep(1)
            raise KeyError("gone")
    """)
    lab.run_for(SECOND_NS)
    assert any("KeyError: 'gone'" in line for line in lab.log())
    assert not lab.machine.irqs.kthreads.by_pid
    lab.rmmod()


@pytest.mark.parametrize("sleep", ["msleep(10)", "ssleep(1)", "schedule_timeout(3)"])
def test_sleeping_in_a_timer_callback_is_refused_in_the_kernels_words(lab, sleep):
    lab.insmod(f"""
        def init(self):
            self.timer = self.timer_setup(self.beat)
            self.mod_timer(self.timer, self.jiffies + 1)
        def exit(self): pass
        def beat(self):
            self.{sleep}
            self.pr_info("went on")
    """)
    lab.run_for(SECOND_NS)
    log = lab.log()
    begin = log.index("BUG: scheduling while atomic: swapper/0/0/0x00000101")
    assert log[begin + 1] == "Modules linked in: example(O)"
    shown = [line.split("+")[0] for line in log[begin:]]
    assert shown[-6:-1] == [
        " sysvec_apic_timer_interrupt",
        " </IRQ>",
        " <TASK>",
        " asm_sysvec_apic_timer_interrupt",
        " </TASK>",
    ]
    assert log[-1] == "example: went on"


def test_might_sleep_in_a_handler_is_told_of(lab):
    lab.insmod("""
        def init(self):
            self.might_sleep()
            self.request_irq(10, self.handle)
        def exit(self):
            self.free_irq(10)
        def handle(self):
            self.might_sleep()
            return IrqReturn.HANDLED
    """)
    lab.machine.pc.gsis.pulse(10)
    lab.run_for(MS)
    told = [line for line in lab.log() if line.startswith("BUG: sleeping function called")]
    assert len(told) == 1


def test_mutex_keeps_threads_apart_and_is_no_lock_for_a_timer(lab):
    lab.insmod("""
        def init(self):
            self.mutex = self.mutex_init()
            for name in ("one", "two"):
                self.kthread_run(lambda name=name: self.use(name), name)
            self.timer = self.timer_setup(self.mutex.lock)
            self.mod_timer(self.timer, self.jiffies + self.HZ)
        def exit(self): pass
        async def use(self, name):
            await self.mutex.lock()
            self.pr_info(f"{name} in")
            await self.msleep(10)
            self.pr_info(f"{name} out")
            self.mutex.unlock()
    """)
    lab.run_for(100 * MS)
    assert said(lab) == ["one in", "one out", "two in", "two out"]
    lab.run_for(SECOND_NS)
    assert any(line.startswith("BUG: sleeping function called") for line in lab.log())


def test_memory_lock_and_delay_of_a_handler(lab):
    lab.insmod("""
        def init(self):
            self.lock = self.spin_lock_init("example.lock")
            self.request_irq(10, self.handle)
            self.pr_info(f"in_interrupt: {self.in_interrupt()}")
        def exit(self):
            self.free_irq(10)
        def handle(self):
            self.lock.lock()
            memory = self.kmalloc(64, GFP_ATOMIC)
            self.udelay(100)
            self.lock.unlock()
            self.pr_info(f"in_interrupt: {self.in_interrupt()}, {len(memory)} bytes")
            return IrqReturn.HANDLED
    """)
    before_ns = sum(this.hardirq_ns for this in lab.machine.kernel.cpus)
    lab.machine.pc.gsis.pulse(10)
    lab.run_for(MS)
    assert said(lab) == ["in_interrupt: False", "in_interrupt: True, 64 bytes"]
    assert sum(this.hardirq_ns for this in lab.machine.kernel.cpus) - before_ns >= 100_000
    assert "Oops" not in "".join(lab.log())


@pytest.mark.parametrize("setup", ["timer_setup", "hrtimer_setup", "tasklet_setup"])
def test_async_callback_is_refused_where_nobody_may_sleep(lab, setup):
    body = f"""
        def init(self):
            self.{setup}(self.sleepy)
        async def sleepy(self): pass
    """
    assert lab.refused(lab.insmod, body) == errno.EFAULT
    assert any("runs in interrupt context: def, not async def" in line for line in lab.log())


def test_same_seed_and_modules_give_the_same_log(lab, tmp_path):
    body = """
        def init(self):
            self.timer = self.timer_setup(self.beat)
            self.mod_timer(self.timer, self.jiffies + 1)
            self.kthread_run(self.run, "runner")
        def exit(self): pass
        def beat(self):
            self.pr_info(str(self.kernel.chance(self.name).random.random()))
            self.nothing
        async def run(self):
            await self.msleep(3)
            self.pr_info(str(self.ktime_get_ns()))
    """
    logs = []
    for machine in (lab, type(lab)(type(lab.machine)(lab.machine.description, 5), tmp_path)):
        machine.insmod(body)
        machine.run_for(SECOND_NS)
        machine.rmmod()
        logs.append(machine.read("/sys/kernel/debug/pseudokern/klog"))
    assert logs[0] == logs[1]
