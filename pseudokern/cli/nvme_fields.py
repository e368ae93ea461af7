"""Say what the bits of a feature mean, as nvme get-feature -H does."""

_EVENTS = (
    ("Discovery Log Page Change Notices", 1 << 31),
    ("Endurance Group Event Aggregate Log Change Notices", 1 << 14),
    ("LBA Status Information Notices", 1 << 13),
    ("Predictable Latency Event Aggregate Log Change Notices", 1 << 12),
    ("Asymmetric Namespace Access Change Notices", 1 << 11),
    ("Telemetry Log Notices", 1 << 10),
    ("Firmware Activation Notices", 1 << 9),
    ("Namespace Attribute Notices", 1 << 8),
    ("SMART / Health Critical Warnings", 0xFF),
)


def fields(number: int, value: int) -> str:
    """What -H adds."""
    low, is_on = value & 0xFFFF, "Enabled" if value & 1 else "Disabled"
    match number:
        case 0x01:
            burst = "No limit" if value & 7 == 7 else str(1 << (value & 7))
            return (
                f"\tHigh Priority Weight   (HPW): {(value >> 24) + 1}\n"
                f"\tMedium Priority Weight (MPW): {(value >> 16 & 0xFF) + 1}\n"
                f"\tLow Priority Weight    (LPW): {(value >> 8 & 0xFF) + 1}\n"
                f"\tArbitration Burst       (AB): {burst}\n"
            )
        case 0x02:
            hint = value >> 5 & 7
            hints = (
                "No Workload",
                "Extended Idle Period with a Burst of Random Writes",
                "Heavy Sequential Writes",
            )
            said = hints[hint] if hint < len(hints) else "Reserved"
            return f"\tWorkload Hint (WH): {hint} - {said}\n\tPower State   (PS): {value & 0x1F}\n"
        case 0x04:
            return _temperature(value)
        case 0x05:
            return (
                "\tDeallocated or Unwritten Logical Block Error Enable (DULBE): "
                f"{'Enabled' if value >> 16 & 1 else 'Disabled'}\n"
                "\tTime Limited Error Recovery                          (TLER): "
                f"{low * 100} ms\n"
            )
        case 0x06:
            return f"\tVolatile Write Cache Enable (WCE): {is_on}\n"
        case 0x07:
            return (
                f"\tNumber of IO Completion Queues Allocated (NCQA): {(value >> 16) + 1}\n"
                f"\tNumber of IO Submission Queues Allocated (NSQA): {low + 1}\n"
            )
        case 0x08:
            return (
                f"\tAggregation Time     (TIME): {(low >> 8) * 100} usec\n"
                f"\tAggregation Threshold (THR): {(low & 0xFF) + 1}\n"
            )
        case 0x09:
            return (
                f"\tCoalescing Disable (CD): {'True' if value >> 16 & 1 else 'False'}\n"
                f"\tInterrupt Vector   (IV): {low}\n"
            )
        case 0x0A:
            return f"\tDisable Normal (DN): {'True' if value & 1 else 'False'}\n"
        case 0x0B:
            return "".join(
                f"\t{text:<58}: {'Send' if value & bits else 'Do not send'} async event\n"
                for text, bits in _EVENTS
            )
    return ""


def _temperature(value: int) -> str:
    kind, sensor, kelvin = value >> 20 & 3, value >> 16 & 0xF, value & 0xFFFF
    kinds = ("Over Temperature Threshold", "Under Temperature Threshold", "Reserved", "Reserved")
    sensors = {0: "Composite Temperature", **{n: f"Temperature Sensor {n}" for n in range(1, 9)}}
    return (
        f"\tThreshold Type Select         (THSEL): {kind} - {kinds[kind]}\n"
        f"\tThreshold Temperature Select (TMPSEL): {sensor} - {sensors.get(sensor, 'Reserved')}\n"
        f"\tTemperature Threshold         (TMPTH): {kelvin - 273}°C ({kelvin} Kelvin)\n"
    )
