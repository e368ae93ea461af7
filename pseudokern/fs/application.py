"""Show and change applications, and make new ones: applications/ and application_results/.

An application is a line of key=value words with the keys of [[application]].
"""

from collections.abc import Callable

from pseudokern.drivers.application import AnyApplication
from pseudokern.drivers.keys import Limits
from pseudokern.kernel.printk import Level, encoded
from pseudokern.machine import application_changes
from pseudokern.machine.machine import Machine


def application_names(machine: Machine) -> list[str]:
    return list(machine.applications)


def find_application(machine: Machine, name: str) -> AnyApplication | None:
    return machine.applications.get(name)


def show_application(_machine: Machine, application: AnyApplication) -> bytes:
    return encoded(application_changes.line_of(application) + "\n")


def store_application(machine: Machine, data: bytes, application: AnyApplication) -> None:
    """Change some keys, or say off, on or remove.

    EINVAL  it is no such line; the kernel log says why
    """
    text, limits = data.decode("latin-1"), _limits(machine)
    _told(
        machine,
        application.name,
        lambda: application_changes.change(machine, application, text, limits),
    )


def show_new(_machine: Machine) -> bytes:
    kinds = (("server", "CARD"), ("poll-mode", "CARD"), ("io", "DRIVE"))
    return "".join(f"name=NAME kind={kind} device={what}\n" for kind, what in kinds).encode()


def store_new(machine: Machine, data: bytes) -> None:
    """Start a program.

    EINVAL  it is no such line; the kernel log says why
    EEXIST  there is one of that name
    EBUSY   the card has a server already
    """
    text, limits = data.decode("latin-1"), _limits(machine)
    _told(machine, "new", lambda: application_changes.make(machine, text, limits))


def show_results(machine: Machine, application: AnyApplication) -> bytes:
    machine.pc.fold_counts()
    return encoded(application.show_results())


def _told(machine: Machine, name: str, change: Callable[[], None]) -> None:
    """Have the log say what is wrong: who writes sees a number only."""
    try:
        change()
    except OSError as error:
        machine.kernel.log.printk(Level.ERR, f"applications/{name}: {error.strerror}")
        raise


def _limits(machine: Machine) -> Limits:
    description = machine.description
    return Limits(machine.kernel.nr_cpu_ids, description.nodes, description.gsis)
