"""API keys: ``Authorization: Apikey KEY``, for a program that cannot log in.

settings.json has the SHA-256 of each. That is enough for a random key of 128 bits or more, which
nobody guesses; a word that somebody has chosen is a password, and would want PBKDF2. A key is good
until it is taken out there. It is never read from the URL, which ends up in logs (ASVS 14.2.1).
"""

from binascii import hexlify
from hashlib import sha256

from auth import accounts
from auth.guards import credentials
from auth.mac import equal

_REALM = ', Apikey realm="Backyard cam"'


def holder(key):
    """The name of the key, or None."""
    shown = hexlify(sha256(key.encode()).digest())
    found = None
    for entry in accounts.api_keys():  # to the end: how long it takes tells nothing
        if equal(shown, entry["hash"].encode()):
            found = entry["name"]
    return found


def also(handler, by_token):
    """The handler for who has a key, else what ``by_token`` makes of the request."""

    async def guarded(request):
        scheme, key = credentials(request)
        name = holder(key) if scheme == "apikey" and key else None
        if name is None:
            answer = await by_token(request)
            if isinstance(answer, tuple) and answer[1] == 401:
                answer[2]["WWW-Authenticate"] += _REALM
            return answer
        request.g.current_user = name
        return await handler(request)

    return guarded
