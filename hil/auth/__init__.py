"""What the bench knows of an auth system: its contract, its tokens, and how to talk to it."""
