"""The text that users read and write; knows nothing of FUSE."""
