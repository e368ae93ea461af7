"""Describe what is in the machine apart from its devices: the CPU, its costs, its load.

Each stands for a table of the machine file. The file writes quantities with their unit
(entry = "350 ns"); a class holds plain numbers, and the unit moves into the name (entry_ns).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pseudokern.drivers.keys import Duration, Integer, Key, Rate, Share, Size, Text
from pseudokern.drivers.place_kinds import HexId
from pseudokern.kernel.cost import CostModel

_ICELAKE_FLAGS = (
    "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush dts acpi mmx"
    " fxsr sse sse2 ss ht tm pbe syscall nx pdpe1gb rdtscp lm constant_tsc art arch_perfmon pebs"
    " bts rep_good nopl xtopology nonstop_tsc cpuid aperfmperf pni pclmulqdq dtes64 monitor ds_cpl"
    " vmx smx est tm2 ssse3 sdbg fma cx16 xtpr pdcm pcid dca sse4_1 sse4_2 x2apic movbe popcnt"
    " tsc_deadline_timer aes xsave avx f16c rdrand lahf_lm abm 3dnowprefetch cpuid_fault epb"
    " ssbd ibrs ibpb stibp ibrs_enhanced fsgsbase tsc_adjust bmi1 avx2 smep bmi2 erms invpcid"
    " avx512f avx512dq rdseed adx smap clflushopt clwb sha_ni xsaveopt xsavec xgetbv1 xsaves"
    " wbnoinvd dtherm arat pln pts arch_capabilities"
)
_ICELAKE_BUGS = "spectre_v1 spectre_v2 spec_store_bypass swapgs mmio_stale_data eibrs_pbrsb gds bhi"
_LONGEST_COST = Duration(maximum_ns=1_000_000_000)

CPU_KEYS: Mapping[str, Key] = {
    "vendor_id": Key(Text(), default="GenuineIntel"),
    "family": Key(Integer(0, 4095), default=6),
    "model": Key(Integer(0, 255), default=106),
    "model_name": Key(Text(), default="Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz"),
    "stepping": Key(Integer(0, 15), default=6),
    "microcode": Key(HexId(32), default="0xd0003f5"),
    "frequency": Key(Rate(maximum_hz=100e9), default="2000 MHz", doc="cpu MHz"),
    "cache": Key(Size(), default="49152 KB", doc="cache size"),
    "cpuid_level": Key(Integer(0, 255), default=27),
    "flags": Key(Text(), default=_ICELAKE_FLAGS),
    "bugs": Key(Text(), default=_ICELAKE_BUGS),
    "tlb_size": Key(Text(), default="", doc='AMD only, such as "1024 4K pages"'),
    "clflush_size": Key(Integer(0, 4096), default=64),
    "physical_bits": Key(Integer(32, 57), default=46, doc="address sizes"),
    "virtual_bits": Key(Integer(32, 57), default=57, doc="address sizes"),
    "power_management": Key(Text(), default=""),
}

COST_KEYS: Mapping[str, Key] = {
    name.removesuffix("_ns"): Key(_LONGEST_COST, default=f"{cost_ns} ns")
    for name, cost_ns in CostModel._field_defaults.items()
}

LOAD_KEYS: Mapping[str, Key] = {
    "user": Key(Share(), default="5%", doc="part of each CPU that programs keep busy"),
    "burst": Key(Duration(), default="3 ms", doc="how long a program runs before it sleeps"),
    "wakeups": Key(Share(), default="30%", doc="part of the bursts that another CPU starts: RES"),
    "tlb": Key(Rate(), default="5 Hz", doc="munmap() seen by other CPUs, per machine: TLB"),
    "call": Key(Rate(), default="3 Hz", doc="other smp_call_function(), per machine: CAL"),
}


class CpuModel(NamedTuple):
    """What /proc/cpuinfo says of every CPU. The defaults are those of a Xeon Gold 6338."""

    vendor_id: str
    family: int
    model: int
    model_name: str
    stepping: int
    microcode: int
    mhz: float
    cache_kb: int
    cpuid_level: int
    flags: str
    bugs: str
    tlb_size: str
    clflush_size: int
    physical_bits: int
    virtual_bits: int
    power_management: str

    @property
    def bogomips(self) -> float:
        """Two loops a cycle, which is what calibrate_delay() finds on any recent x86."""
        return 2 * self.mhz

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "CpuModel":
        """From the parsed keys of [cpu]."""
        fields = dict(table)
        fields["mhz"] = fields.pop("frequency") / 1e6
        fields["cache_kb"] = fields.pop("cache")
        return cls(**fields)


class Load(NamedTuple):
    """What ordinary programs do to the interrupt counts while nobody looks at them.

    user and wakeups are shares from 0 to 1, tlb_hz and call_hz events per second and machine.
    """

    user: float
    burst_ns: int
    wakeups: float
    tlb_hz: float
    call_hz: float

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "Load":
        """From the parsed keys of [load]."""
        return cls(
            user=table["user"],
            burst_ns=table["burst"],
            wakeups=table["wakeups"],
            tlb_hz=table["tlb"],
            call_hz=table["call"],
        )


def cost_model(table: Mapping[str, Any]) -> CostModel:
    """From the parsed keys of [cost]."""
    return CostModel(**{f"{key}_ns": value for key, value in table.items()})
