"""``python -m hil`` is the ``hil`` command."""

from .cli import main

main()
