"""Devices with their drivers; a user's own looks exactly the same."""
