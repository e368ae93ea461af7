"""Time and chance: what is due, and what the dice say."""
