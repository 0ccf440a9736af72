"""Runs on every reset, before main.py: the host name, which must be set before the network is up.

It must not raise: the cameras do not run main.py after a boot.py that did.
"""

import settings

try:
    import network

    if settings.get("hostname"):
        network.hostname(settings.get("hostname"))
except (ImportError, OSError, ValueError) as error:  # no network, or a name too long
    print("camera: host name not set:", error)
