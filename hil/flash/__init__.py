"""Flashing: what a board's firmware is replaced with, how, and the proof that it is there."""
