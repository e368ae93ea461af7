"""What Intel and the PCI-SIG describe: CPUs, APICs, the bus, MSI-X."""
