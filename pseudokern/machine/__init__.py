"""What a machine is made of, and the order in which it boots."""
