"""Guessing passwords must be slow, and must not lock the owner out (ASVS 6.3.1).

A client address has ``FREE`` wrong passwords in a row. From then on each further attempt, right or
wrong, waits before the password is looked at: 25 ms, doubled after every fifth failure, up to
``throttle_ms`` of settings.json. Attempts of one address wait one behind the other, so parallel
connections gain nothing; a queue that is full answers 429. A right password is accepted after its
wait and clears the address: no lock that a stranger could throw for the owner.

The price: an address behind which the owner also sits is cleared by him, and a botnet has many
addresses. On the trusted network that this camera is for, that is the better bargain.
"""

import asyncio
import time

FREE = 20  # failures in a row; the owner mistypes fewer
_FIRST_MS = 25
_DOUBLED_EVERY = 5  # failures
_QUEUE = 4  # attempts of one address that wait at once, of the connections that a board has
_FORGET_MS = 15 * 60 * 1000
_ADDRESSES = 32  # remembered; beyond it the one that failed longest ago is forgotten

_peers = {}


class Busy(Exception):
    """Too many attempts of this address are waiting already. ``seconds`` to wait."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds


class _Peer:
    def __init__(self):
        self.failures = 0
        self.waiting = 0
        self.last = time.ticks_ms()
        self.free_at = self.last


async def turn(address, longest_ms):
    """Returns when an attempt of ``address`` may be looked at. ``Busy`` when the queue is full."""
    peer = _peers.get(address)
    if peer is None or peer.failures < FREE:
        return
    delay = _delay_ms(peer.failures, longest_ms)
    if peer.waiting >= _QUEUE:
        raise Busy(1 + delay * _QUEUE // 1000)
    now = time.ticks_ms()
    start = peer.free_at if time.ticks_diff(peer.free_at, now) > 0 else now
    peer.free_at = time.ticks_add(start, delay)
    peer.waiting += 1
    try:
        await asyncio.sleep_ms(time.ticks_diff(peer.free_at, now))
    finally:
        peer.waiting -= 1


def _delay_ms(failures, longest_ms):
    doublings = (failures - FREE) // _DOUBLED_EVERY
    return min(longest_ms, _FIRST_MS << min(doublings, 12))


def failed(address):
    _forget_old()
    peer = _peers.get(address)
    if peer is None:
        if len(_peers) >= _ADDRESSES:
            now = time.ticks_ms()
            del _peers[max(_peers, key=lambda a: time.ticks_diff(now, _peers[a].last))]
        peer = _peers[address] = _Peer()
    peer.failures += 1
    peer.last = time.ticks_ms()


def succeeded(address):
    _peers.pop(address, None)


def _forget_old():
    now = time.ticks_ms()
    for address in list(_peers):
        # ticks_ms wraps after days: an age that comes out negative is older than that.
        if not 0 <= time.ticks_diff(now, _peers[address].last) < _FORGET_MS:
            del _peers[address]
