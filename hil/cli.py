"""The ``hil`` command."""


def main() -> None: ...
