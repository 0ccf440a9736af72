"""``socket`` whose addresses go through ``network.json``: port 80 of all interfaces is the
board's own address on the host, and any destination can be sent elsewhere. Names that no route
knows do not resolve: the board's network has no way out to the Internet."""

from usocket import *
import usocket as _builtin

import _bsp
import network

_ANY = ("0.0.0.0", "::", "", None)


def getaddrinfo(host, port, *arguments):
    routes = _bsp.load("network.json")
    if host in _ANY:
        host, port = routes["listen"].get(str(port), (_bsp.board["address"], port))
    else:
        to = routes["routes"]
        host, port = to.get("%s:%d" % (host, port)) or to.get("*:%d" % port) or (host, port)
    if not all(character in "0123456789." for character in host):
        raise OSError(-2)  # as lwIP: no such name
    # One answer, as lwIP gives: the first fits the asked type.
    return _builtin.getaddrinfo(host, port, *arguments)[:1]


if network.takes_time:

    def socket(*arguments):
        one = _builtin.socket(*arguments)
        network.without(one)
        return one
