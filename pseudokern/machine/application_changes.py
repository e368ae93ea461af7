"""Change applications while the machine runs, make new ones, and take them away."""

import errno
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pseudokern.drivers.application import AnyApplication, policy_problem
from pseudokern.drivers.application_line import OFF, REMOVE, format_line, parse_line, words_of
from pseudokern.drivers.keys import Limits, quoted
from pseudokern.drivers.load import read_words
from pseudokern.drivers.server import Server
from pseudokern.machine.applications import (
    NEW,
    ApplicationDescription,
    begin_to_share,
    keys_of,
    new_application,
)

if TYPE_CHECKING:
    from pseudokern.machine.machine import Machine


def line_of(application: AnyApplication) -> str:
    """What an application is, as change() would understand it."""
    keys = keys_of(application.options["kind"])
    return format_line(application.words, keys, is_on=application.is_on)


def change(machine: "Machine", application: AnyApplication, text: str, limits: Limits) -> None:
    """Change what a line says and leave the rest; `off`, `on`, and `remove` are lines as well.

    EINVAL  something in it cannot be, or cannot change; none of the CPUs is online
    EBUSY   another server has got its card while it was off
    """
    if text.strip() == REMOVE:
        application.stop()
        del machine.applications[application.name]
        return
    line = parse_line(text)
    words = {**application.words, **line.words}
    options = _read(words, limits)
    if "cpus" in line.words and not options["cpus"] & machine.kernel.online:
        raise OSError(errno.EINVAL, f"cpus={words['cpus']}: none of them is online")
    for name in application.FIXED:
        if options[name] != application.options[name]:
            hint = f"write {REMOVE}, and then a line to applications/{NEW}"
            word = words_of(application.options)[name]
            raise OSError(errno.EINVAL, f"{name} stays {word}; {hint}")
    is_on = application.is_on if line.is_on is None else line.is_on
    if is_on:
        _check_is_free(machine, application)
    application.change(options)
    application.words = words
    if is_on and not application.is_on:
        application.start()
    elif application.is_on and not is_on:
        application.stop()


def make(machine: "Machine", text: str, limits: Limits) -> None:
    """Start what a line says, with its name in it.

    EINVAL  something in it cannot be
    EEXIST  there is an application of that name
    EBUSY   its card has a server
    """
    line = parse_line(text)
    options = _read(line.words, limits)
    name = options["name"]
    if name == NEW:
        raise OSError(errno.EINVAL, f"name is {quoted(name)}; choose another one")
    if name in machine.applications:
        raise OSError(errno.EEXIST, f"name is {quoted(name)} again; write to applications/{name}")
    if machine.kernel.sched is None:
        begin_to_share(machine)
    application = new_application(machine, ApplicationDescription(options, line.words))
    if line.is_on is not False:
        _check_is_free(machine, application)
        application.start()
    machine.applications[name] = application


def _read(words: Mapping[str, str], limits: Limits) -> dict[str, Any]:
    keys = keys_of(words.get("kind"))
    options = read_words(words, keys, limits, "")
    if problem := policy_problem(options):
        raise OSError(errno.EINVAL, f"priority {problem.what}; {problem.hint}")
    return options


def _check_is_free(machine: "Machine", application: AnyApplication) -> None:
    """A card has one server."""
    if not isinstance(application, Server):
        return
    device = application.options["device"]
    for other in machine.applications.values():
        if other is application or not other.is_on or not isinstance(other, Server):
            continue
        if other.options["device"] == device:
            why = f"device {device} has the server {other.name}; write {OFF} to that"
            raise OSError(errno.EBUSY, why)
