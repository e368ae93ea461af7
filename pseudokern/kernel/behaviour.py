"""Say in what the kernels that can be booted behave differently: one switch for each behaviour.

What differs in the text of files only is in fs/profile.py.
"""

from typing import NamedTuple


class Behaviour(NamedTuple):
    """What one kernel does.

    cleanup_vector    vector 0x20 is kept for the clean-up after a move, which was by IPI up to 6.5
    keeps_disable     a managed interrupt that is shut down with its CPUs and started again keeps
                      the disable_irq() of its driver; from 6.16 on
    shares_percpu     handlers with disjoint CPU masks may share a per-CPU line; seen in 6.18
    tells_of_oneshot  ONESHOT without a thread is told of, once; seen in 6.18
    looks_when_stuck  the watchdog of a network device looks when a queue could be stuck, and says
                      so each time; before 6.9 it looked all the time, and warned once
    cfs               fair tasks are scheduled by CFS; from 6.6 on by EEVDF
    throttles_rt      real-time tasks have to pause at the end of each period; from 6.12 on a fair
                      server runs fair tasks instead, if there are any
    """

    cleanup_vector: bool = False
    keeps_disable: bool = False
    shares_percpu: bool = False
    tells_of_oneshot: bool = False
    looks_when_stuck: bool = True
    cfs: bool = False
    throttles_rt: bool = False


BEHAVIOURS = {
    "6.1": Behaviour(cleanup_vector=True, looks_when_stuck=False, cfs=True, throttles_rt=True),
    "6.12": Behaviour(),
    "6.18": Behaviour(keeps_disable=True, shares_percpu=True, tells_of_oneshot=True),
}
