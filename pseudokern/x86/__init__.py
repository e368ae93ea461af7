"""The only place that knows both the hardware and the interrupt core."""
