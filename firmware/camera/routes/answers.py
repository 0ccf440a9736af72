"""Answers that several routes give."""

from auth import tokens


def granted(pair, name):
    """RFC 6749 §5.1, with the access token under ``name``. ``pair``: the second may be None."""
    answer = {name: pair[0], "token_type": "Bearer", "expires_in": tokens.LIFETIME}
    if pair[1]:
        answer["refresh_token"] = pair[1]
    return answer


def not_kept():
    """The flash cannot be written: nothing that the client could do better."""
    return "Cannot be kept", 503, {"Retry-After": "60"}
