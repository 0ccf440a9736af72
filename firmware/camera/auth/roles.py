"""Who may do what: ``basic`` users use the camera, ``admin`` users also see who else may.

A token says the role that its user had at the log-in. What counts is the lesser of that and the
role in settings.json now: whoever is made ``basic`` is so at once, whoever is made ``admin`` with
the next token. A token that says no role, or one that there is not, is refused.
"""

import settings
from auth import tokens
from auth.accounts import ROLES
from auth.guards import BEARER_REALM, bearer, credentials


def role_of(request):
    """The role of a request that has been let in; who comes with an API key is no admin."""
    scheme, token = credentials(request)
    if scheme != "bearer":
        return "basic"
    claims = tokens.read(token)
    now = settings.role(claims["sub"])
    return min(claims.get("role", now), now, key=ROLES.index)


def admin(handler):
    """``@bearer``, and 403 for who is no admin (RFC 6750 §3.1)."""

    async def guarded(request):
        if role_of(request) != "admin":
            challenge = BEARER_REALM + ', error="insufficient_scope", scope="admin"'
            return "403 error", 403, {"WWW-Authenticate": challenge}
        return await handler(request)

    return bearer(guarded)
