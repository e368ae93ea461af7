"""Process context: trio, the FUSE mount, wall time."""
