"""Interrupts and devices for modules."""

import errno
from collections.abc import Callable
from functools import partial
from typing import Any

from pseudokern.drivers.device import Device
from pseudokern.drivers.keys import Limits, Problems
from pseudokern.irq.action import Handler, IrqAction, ThreadFunction
from pseudokern.irq.desc import Irq
from pseudokern.irq.flags import Irqf, IrqReturn
from pseudokern.irq.request import free_irq, request_irq
from pseudokern.module.core import Core, Owned


class Interrupts(Core):
    """The interrupts of a module, and its devices."""

    def request_irq(
        self,
        irq: int,
        handler: Callable[[], IrqReturn],
        *,
        name: str = "",
        flags: int = Irqf.NONE,
        dev_id: object = None,
        cost_ns: int | None = None,
    ) -> IrqAction:
        """request_irq(); name and dev_id are the module's if nothing is said. OSError as there."""
        return self._request(irq, self._handler(handler), None, name, flags, dev_id, cost_ns)

    def request_threaded_irq(
        self,
        irq: int,
        handler: Callable[[], IrqReturn] | None,
        thread_fn: ThreadFunction,
        *,
        name: str = "",
        flags: int = Irqf.NONE,
        dev_id: object = None,
    ) -> IrqAction:
        """The same with a thread, irq/IRQ-NAME; thread_fn may be async, and sleep then."""

        async def run() -> IrqReturn:
            answer = IrqReturn.HANDLED

            async def call() -> None:
                nonlocal answer
                said = thread_fn()
                answer = said if isinstance(said, IrqReturn) else await said

            await self.guarded_await(call())
            return answer

        hard = None if handler is None else self._handler(handler)
        return self._request(irq, hard, run, name, flags, dev_id, None)

    def free_irq(self, irq: int, dev_id: object = None) -> None:
        """Take the handler off the line; WARNs in the log if there is none."""
        desc = self.pc.irqs.find(Irq(irq))
        action = free_irq(desc, self if dev_id is None else dev_id)
        if action is None:
            return
        self.disown(action)
        for irq_thread in (action.thread, action.secondary):
            if irq_thread is not None:
                self._stopping[irq_thread.thread] = None
                if irq_thread.thread.state == "R":  # it only waited for interrupts
                    irq_thread.thread.run_now()

    def register_device(self, driver: type[Device], name: str, **keys: object) -> Device:
        """Plug a device in, with keys as in a machine file, probe it and take it into use.

        EINVAL  a key is unknown or has no such value
        else what its probe() raises
        """
        device = driver(self.pc, name, _options(self.pc.kernel.nr_cpu_ids, driver, keys))
        device.plug()
        try:
            device.attach()
        except OSError:
            device.unplug()
            raise
        self.own(
            Owned(
                device,
                f"device {name}",
                "unregister_device()",
                is_held=lambda: True,
                take=lambda: _unplug(device),
            )
        )
        device.open()
        return device

    def unregister_device(self, device: Device) -> None:
        """Stop it, free what it has, and take it off its bus."""
        if self.owns(device):
            self.disown(device)
            _unplug(device)

    def _handler(self, handler: Callable[[], IrqReturn]) -> Handler:
        return self.guarded(handler, IrqReturn.NONE)

    def _request(
        self,
        irq: int,
        handler: Handler | None,
        thread_fn: ThreadFunction | None,
        name: str,
        flags: int,
        dev_id: object,
        cost_ns: int | None,
    ) -> IrqAction:
        dev_id = self if dev_id is None else dev_id
        action = request_irq(
            self.pc.irqs,
            Irq(irq),
            handler,
            flags,
            name or self.name,
            dev_id,
            thread_fn=thread_fn,
            cost_ns=cost_ns,
        )
        desc = self.pc.irqs[Irq(irq)]
        self.own(
            Owned(
                action,
                f"interrupt {irq} ({action.name})",
                "free_irq()",
                is_held=lambda: action in desc.actions,
                take=partial(free_irq, desc, dev_id),
            )
        )
        return action


def _unplug(device: Device) -> None:
    device.remove()
    device.unplug()


def _options(cpus: int, driver: type[Device], keys: dict[str, object]) -> dict[str, Any]:
    limits = Limits(cpus=cpus, nodes=1, gsis=24)
    unknown = keys.keys() - driver.KEYS.keys()
    if unknown:
        raise OSError(errno.EINVAL, f"{driver.__name__} has no key {', '.join(sorted(unknown))}")
    options: dict[str, Any] = {}
    for name, key in driver.KEYS.items():
        if name in keys:
            options[name] = key.parse(keys[name], limits, options)
        else:
            options[name] = key.parse_default(limits, options)
        if isinstance(options[name], Problems):
            what = "; ".join(problem.what for problem in options[name])
            raise OSError(errno.EINVAL, f"{driver.__name__}: {name} {what}")
    return options
