"""Serve what nvme get-feature and set-feature ask a controller: nvme/NAME/features.

Linux passes admin commands through an ioctl, of which no file system hears. What is read is a line
for each feature: its number, its value, its default; 0x09 has one for each vector. What is written
is a number and a value, as in `0x08 0x107`.
"""

import errno

from pseudokern.drivers.nvme import Nvme
from pseudokern.hw.nvme_features import (
    COMMAND_SEQUENCE_ERROR,
    INTERRUPT_VECTOR_CONFIGURATION,
    FeatureError,
)
from pseudokern.machine.machine import Machine

WIDEST = 1 << 32


def show_features(_machine: Machine, device: Nvme) -> bytes:
    features = device.features
    lines = []
    for number in features.numbers():
        several = number == INTERRUPT_VECTOR_CONFIGURATION
        for vector in range(features.vectors if several else 1):
            value = features.get(number, vector)
            default = features.get(number, vector, default=True)
            lines.append(f"{number:#04x} {value:#010x} {default:#010x}\n")
    return "".join(lines).encode()


def store_features(_machine: Machine, data: bytes, device: Nvme) -> None:
    """Set one feature.

    EINVAL  these are no two numbers, or the controller has no such feature or vector
    EBUSY   it cannot be set any more
    """
    words = data.decode("latin-1").split()
    try:
        number, value = (int(word, 0) for word in words)
    except ValueError:
        number = value = -1
    if not (0 <= number < 256 and 0 <= value < WIDEST):
        text = f"features {' '.join(words)!r}: write a feature and its value, like 0x08 0x107"
        raise OSError(errno.EINVAL, text)
    try:
        device.features.set(number, value)
    except FeatureError as error:
        is_late = error.status == COMMAND_SEQUENCE_ERROR
        number = errno.EBUSY if is_late else errno.EINVAL
        raise OSError(number, f"{device.name}: {error}") from None
