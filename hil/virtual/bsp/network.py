"""``network``: a Wi-Fi interface that connects as ``network.json`` says."""

import struct
import sys
import uctypes
from usocket import SOL_SOCKET as _SOL_SOCKET
from utime import ticks_add as _ticks_add, ticks_diff as _ticks_diff, ticks_ms as _ticks_ms

import _bsp

STA_IF = 0
AP_IF = 1
STAT_IDLE = 0
STAT_CONNECTING = 1
STAT_NO_AP_FOUND = -2
STAT_GOT_IP = 3

_NETMASK = "255.0.0.0"
_hostname = _bsp.board["default_hostname"]
_country = "XX"

_latency = _bsp.board["latency"].get("wifi_s", 0)
_offline = []  # sockets that hear nothing until there is a network
takes_time = bool(_latency) and sys.platform == "linux"

# Linux: include/uapi/asm-generic/socket.h, include/uapi/linux/bpf_common.h.
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_DROP = struct.pack("HBBI", 0x06, 0, 0, 0)  # return 0 bytes of each packet


def without(socket):
    """The host's loopback is always there: a server that is started before Wi-Fi is up would be
    reached at once, and on no camera it is. A packet filter of the socket keeps it from that."""
    if not WLAN()._up():
        program = struct.pack("HHIQ", 1, 0, 0, uctypes.addressof(_DROP))
        socket.setsockopt(_SOL_SOCKET, _SO_ATTACH_FILTER, program)
        _offline.append(socket)


def _let_in():
    while _offline:
        try:
            _offline.pop().setsockopt(_SOL_SOCKET, _SO_DETACH_FILTER, 0)
        except OSError:  # it has been closed
            pass


def hostname(name=None):
    """Get or set the host name: 1 to 32 characters, before the interface comes up."""
    global _hostname
    if name is None:
        return _hostname
    if len(name) > 32:
        raise ValueError("name too long")
    _hostname = name


def country(code=None):
    global _country
    if code is None:
        return _country
    if len(code) != 2:
        raise ValueError
    _country = code.upper()


def ipconfig(*names, **settings):
    return None


class WLAN:
    IF_STA = STA_IF
    IF_AP = AP_IF

    _of = {}  # one per interface, as in the firmware

    def __new__(cls, interface=STA_IF):
        if interface not in cls._of:
            one = super().__new__(cls)
            one._active = False
            one._since = None
            one._announced = False
            cls._of[interface] = one
        return cls._of[interface]

    def __init__(self, interface=STA_IF):
        pass

    def active(self, on=None):
        if on is None:
            return self._active
        if not on:
            self.disconnect()
        self._active = bool(on)

    def connect(self, ssid=None, key=None, **_):
        if not self._active:
            raise OSError(1)
        self._since = _ticks_add(_ticks_ms(), int(_latency * 1000))
        self._up()

    def disconnect(self):
        self._since = None
        self._up()

    def isconnected(self):
        return self._up()

    def status(self, what=None):
        if what == "rssi":
            return -50
        if self._up():
            return STAT_GOT_IP
        if self._since is None:
            return STAT_IDLE
        return STAT_CONNECTING if _bsp.load("network.json")["wifi"] else STAT_NO_AP_FOUND

    def _up(self):
        up = (
            self._since is not None
            and _ticks_diff(_ticks_ms(), self._since) >= 0
            and _bsp.load("network.json")["wifi"]
        )
        if up != self._announced:
            self._announced = up
            if up:
                _let_in()
            _bsp.tell("link " + _hostname if up else "link")
        return up

    def _address(self):
        return _bsp.board["address"] if self._up() else "0.0.0.0"

    def ifconfig(self, settings=None):
        if settings is not None:
            return None
        gateway = "127.0.0.1" if self._up() else "0.0.0.0"
        return (self._address(), _NETMASK, gateway, gateway)

    def ipconfig(self, *names, **settings):
        if settings:
            return None
        (name,) = names
        if name == "addr4":
            return (self._address(), _NETMASK)
        if name == "gw4":
            return "127.0.0.1" if self._up() else "0.0.0.0"
        if name == "dhcp4" or name == "has_dhcp4":
            return True
        raise ValueError("unexpected key")

    def config(self, *names, **settings):
        if settings:
            return None
        (name,) = names
        if name == "mac":
            return b"\x02" + bytes.fromhex(_bsp.board["unique_id"])[:5]
        if name == "hostname":
            return _hostname
        if name == "ssid" or name == "essid":
            return "hil"
        raise ValueError("unknown config param")

    def scan(self):
        return []
