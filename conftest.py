"""The fixtures and hooks of the checks come from the pytest plugin (hil/plugin.py), not from here.

This file makes the project's folder pytest's root, for the checks and for the harness's own tests.
"""

pytest_plugins = ["pytester"]
