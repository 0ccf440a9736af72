"""``ntptime`` with micropython-lib's documented behaviour (0.2.0): one packet to ``host``, nothing
but the transmit time's seconds is looked at, and what lies before 2024 is taken for the next NTP
era."""

import socket as _socket
import struct as _struct
import time as _time

host = "pool.ntp.org"
timeout = 1  # seconds

_ERA = 1 << 32


def time():
    """The server's time in seconds of the board's epoch."""
    epoch_2000 = _time.gmtime(0)[0] == 2000
    query = bytearray(48)
    query[0] = 0x23  # NTP version 4, client
    address = _socket.getaddrinfo(host, 123)[0][-1]
    connection = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    try:
        connection.settimeout(timeout)
        connection.sendto(query, address)
        answer = connection.recv(48)
    finally:
        connection.close()
    seconds = _struct.unpack("!I", answer[40:44])[0]
    if seconds < 3913056000:  # 2024-01-01: earlier than the code, so it is the next era
        seconds += _ERA
    return seconds - (3155673600 if epoch_2000 else 2208988800)


def settime():
    """Set the RTC: whole seconds, no compensation of the round trip."""
    import machine

    now = _time.gmtime(time())
    machine.RTC().datetime((now[0], now[1], now[2], now[6] + 1, now[3], now[4], now[5], 0))
