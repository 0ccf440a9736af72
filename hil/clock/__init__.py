"""The board's clock: read it with its uncertainty, move it, and prove where it stood."""
