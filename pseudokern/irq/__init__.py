"""Linux's interrupt policy: descriptors, flow handlers, affinity, the vector matrix."""
