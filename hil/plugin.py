"""pytest's hooks, and nothing else: options, markers, one parameter per target, order."""
import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "hil: a check that runs against a target")
