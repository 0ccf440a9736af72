"""Wi-Fi up, and up again after it was lost."""

import asyncio

import settings

try:
    import network
except ImportError:
    network = None  # the unix port: its host has the network, nothing to bring up

_ATTEMPT_S = 15  # an access point answers in 2 to 8
_PAUSE_S = 5


def interface():
    """The active station interface, or None on a port without one. Before any socket is opened:
    on some ports it is what starts the TCP/IP stack."""
    if network is None:
        return None
    station = getattr(network.WLAN, "IF_STA", None)
    wlan = network.WLAN(network.STA_IF if station is None else station)
    wlan.active(True)
    return wlan


async def connected(wlan):
    """Returns when there is a network, with the camera's address."""
    if wlan is None:
        return "0.0.0.0"
    while not wlan.isconnected():
        ssid, key = settings.wifi()
        if ssid:
            try:
                wlan.connect(ssid, key)
            except OSError as error:
                print("camera: Wi-Fi:", error)
        for _ in range(_ATTEMPT_S * 10):
            if wlan.isconnected():
                break
            await asyncio.sleep_ms(100)
    return wlan.ifconfig()[0]


async def keep(wlan, on_address):
    """For ever: connects, and calls ``on_address(address)`` whenever the address is a new one."""
    address = None
    while True:
        now = await connected(wlan)
        if now != address:
            address = now
            on_address(address)
        await asyncio.sleep(_PAUSE_S)
