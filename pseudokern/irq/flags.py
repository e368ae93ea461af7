"""Name the bits of requests, descriptors and chips as Linux does.

Follows include/linux/interrupt.h (IRQF_*), include/linux/irq.h (IRQ_*, IRQD_*, IRQCHIP_*) and
kernel/irq/internals.h (IRQS_*). The values are Linux's: messages and debugfs print them.

They are plain ints in namespaces, not IntFlag: an enum's & makes an object each time, which was
measured at ten times the cost of the whole test.
"""

from typing import ClassVar


class IrqReturn(int):
    """What a handler says: not mine, done, or wake my thread.

    Not an enum: every handler looks one of these up, and that took 69 ns instead of 12.
    """

    NONE: ClassVar["IrqReturn"]
    HANDLED: ClassVar["IrqReturn"]
    WAKE_THREAD: ClassVar["IrqReturn"]


IrqReturn.NONE = IrqReturn(0)
IrqReturn.HANDLED = IrqReturn(1)
IrqReturn.WAKE_THREAD = IrqReturn(2)


class Irqf:
    """Flags of a request."""

    NONE = 0
    TRIGGER_RISING = 0x1
    TRIGGER_FALLING = 0x2
    TRIGGER_HIGH = 0x4
    TRIGGER_LOW = 0x8
    TRIGGER_MASK = 0xF
    TRIGGER_PROBE = 0x10
    SHARED = 0x80
    PROBE_SHARED = 0x100
    TIMER = 0x200 | 0x4000 | 0x10000
    PERCPU = 0x400
    NOBALANCING = 0x800
    IRQPOLL = 0x1000
    ONESHOT = 0x2000
    NO_SUSPEND = 0x4000
    FORCE_RESUME = 0x8000
    NO_THREAD = 0x10000
    EARLY_RESUME = 0x20000
    COND_SUSPEND = 0x40000
    NO_AUTOEN = 0x80000
    NO_DEBUG = 0x100000
    COND_ONESHOT = 0x200000


IRQF_TIMER_BIT = 0x200


class Trigger:
    """What makes the line interrupt; the low four bits of a request's flags."""

    NONE = 0
    EDGE_RISING = 1
    EDGE_FALLING = 2
    LEVEL_HIGH = 4
    LEVEL_LOW = 8
    LEVEL_MASK = 12


class IrqSetting:
    """A descriptor's settings: `status` of debugfs."""

    LEVEL = 1 << 8
    PER_CPU = 1 << 9
    NOPROBE = 1 << 10
    NOREQUEST = 1 << 11
    NOAUTOEN = 1 << 12
    NO_BALANCING = 1 << 13
    NESTED_THREAD = 1 << 15
    NOTHREAD = 1 << 16
    PER_CPU_DEVID = 1 << 17
    IS_POLLED = 1 << 18
    DISABLE_UNLAZY = 1 << 19
    HIDDEN = 1 << 20
    NO_DEBUG = 1 << 21


class IrqState:
    """The core's own state of a descriptor: `istate` of debugfs."""

    NONE = 0
    AUTODETECT = 0x1
    SPURIOUS_DISABLED = 0x2
    POLL_INPROGRESS = 0x8
    ONESHOT = 0x20
    REPLAY = 0x40
    WAITING = 0x80
    PENDING = 0x200
    SUSPENDED = 0x800
    NMI = 0x2000


class IrqData:
    """State that chips share with the core: `dstate` of debugfs."""

    SETAFFINITY_PENDING = 1 << 8
    ACTIVATED = 1 << 9
    NO_BALANCING = 1 << 10
    PER_CPU = 1 << 11
    AFFINITY_SET = 1 << 12
    LEVEL = 1 << 13
    WAKEUP_STATE = 1 << 14
    IRQ_DISABLED = 1 << 16
    IRQ_MASKED = 1 << 17
    IRQ_INPROGRESS = 1 << 18
    WAKEUP_ARMED = 1 << 19
    AFFINITY_MANAGED = 1 << 21
    IRQ_STARTED = 1 << 22
    MANAGED_SHUTDOWN = 1 << 23
    SINGLE_TARGET = 1 << 24
    DEFAULT_TRIGGER_SET = 1 << 25
    CAN_RESERVE = 1 << 26
    HANDLE_ENFORCE_IRQCTX = 1 << 27
    AFFINITY_ON_ACTIVATE = 1 << 28
    RESEND_WHEN_IN_PROGRESS = 1 << 30


class ChipFlag:
    """What a chip can do or needs."""

    NONE = 0
    SET_TYPE_MASKED = 1 << 0
    EOI_IF_HANDLED = 1 << 1
    MASK_ON_SUSPEND = 1 << 2
    ONOFFLINE_ENABLED = 1 << 3
    SKIP_SET_WAKE = 1 << 4
    ONESHOT_SAFE = 1 << 5
    EOI_THREADED = 1 << 6
    SUPPORTS_LEVEL_MSI = 1 << 7
    SUPPORTS_NMI = 1 << 8
    ENABLE_WAKEUP_ON_SUSPEND = 1 << 9
    AFFINITY_PRE_STARTUP = 1 << 10
    IMMUTABLE = 1 << 11
    MOVE_DEFERRED = 1 << 12
