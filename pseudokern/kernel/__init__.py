"""What genirq stands on: masks, softirqs, the log, accounting."""
