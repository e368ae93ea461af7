"""Say who an NVMe controller is: the Identify Controller data structure, by its fields.

Follows the NVM Express base specification 1.4, Identify. The drive is nobody's in particular: one
namespace of 512 GB, one power state, what nvme_features.py has, and nothing that is optional.
"""

MODEL, FIRMWARE = "Pseudokern NVMe drive", "1.0"
SECTORS, SECTOR_BYTES = 1_000_215_216, 512
VERSION_1_4 = 0x10400
IO_CONTROLLER = 1
CELSIUS_80, CELSIUS_85 = 353, 358  # kelvin
QUEUE_ENTRIES = 0x66, 0x44  # of 64 and of 16 bytes, at least and at most
WRITE_CACHE = 1
MAX_POWER = 600  # of 10 mW

# Where each field is in the structure, and how long it is in bytes; those that are not here are 0.
PLACES = {
    "vid": (0, 2), "ssvid": (2, 2), "sn": (4, 20), "mn": (24, 40), "fr": (64, 8), "mdts": (77, 1),
    "ver": (80, 4), "cntrltype": (111, 1), "acl": (258, 1), "aerl": (259, 1), "frmw": (260, 1),
    "wctemp": (266, 2), "cctemp": (268, 2), "tnvmcap": (280, 16), "sqes": (512, 1),
    "cqes": (513, 1), "nn": (516, 4), "vwc": (525, 1), "subnqn": (768, 256), "mp": (2048, 2),
}  # fmt: skip


def identify(vendor: int, subsystem_vendor: int, serial: str) -> dict[str, int | str]:
    """What is not 0, by the names of the specification; mp is that of power state 0."""
    return {
        "vid": vendor,
        "ssvid": subsystem_vendor,
        "sn": serial,
        "mn": MODEL,
        "fr": FIRMWARE,
        "mdts": 5,  # 128 KB, in pages
        "ver": VERSION_1_4,
        "cntrltype": IO_CONTROLLER,
        "acl": 3,
        "aerl": 3,
        "frmw": 0x2,
        "wctemp": CELSIUS_80,
        "cctemp": CELSIUS_85,
        "tnvmcap": SECTORS * SECTOR_BYTES,
        "sqes": QUEUE_ENTRIES[0],
        "cqes": QUEUE_ENTRIES[1],
        "nn": 1,
        "vwc": WRITE_CACHE,
        "subnqn": f"nqn.2026-11.pseudokern:{serial}",
        "mp": MAX_POWER,
    }


def structure(fields: dict[str, int | str]) -> bytes:
    """The 4,096 bytes that the controller answers with."""
    data = bytearray(4096)
    for name, (start, size) in PLACES.items():
        value = fields[name]
        if isinstance(value, int):
            data[start : start + size] = value.to_bytes(size, "little")
        else:
            padding = b"\0" if name == "subnqn" else b" "
            data[start : start + size] = value.encode().ljust(size, padding)[:size]
    return bytes(data)
