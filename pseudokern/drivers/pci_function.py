"""Be a PCI function that nobody drives: a bridge, for example."""

from pseudokern.drivers.device import PciDevice


class PciFunctionOnly(PciDevice):
    """Identity and nothing else; its interrupt is never asked for."""
