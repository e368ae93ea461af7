"""A simulated Linux kernel, its interrupt half, whose /proc and /sys can be mounted."""
