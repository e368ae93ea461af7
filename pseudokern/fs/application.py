"""Show what applications have got done."""

from pseudokern.drivers.application import Application
from pseudokern.kernel.printk import encoded
from pseudokern.machine.machine import Machine


def application_names(machine: Machine) -> list[str]:
    return list(machine.applications)


def find_application(machine: Machine, name: str) -> Application | None:
    return machine.applications.get(name)


def show_application(machine: Machine, application: Application) -> bytes:
    machine.pc.fold_counts()
    return encoded(application.show_results())
