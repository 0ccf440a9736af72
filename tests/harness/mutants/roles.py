"""Mistakes with users and roles: who somebody is, and what they may."""

from __future__ import annotations

from .mutant import FeatureMutant

ROLES = (
    FeatureMutant(
        "shows its users to every user",
        "ROL-01",
        (("auth/roles.py", 'if role_of(request) != "admin":', "if not role_of(request):"),),
        "the role is checked where it is shown, and not where it counts",
    ),
    FeatureMutant(
        "spells a role in two ways",
        "ROL-02",
        (("auth/roles.py", 'if role_of(request) != "admin":', 'if role_of(request) != "Admin":'),),
        "constants in two places",
    ),
    FeatureMutant(
        "reads the role before the signature",
        "ROL-03",
        (
            (
                "auth/roles.py",
                "    return bearer(guarded)\n",
                "    async def early(request):\n"
                "        scheme, token = credentials(request)\n"
                '        if scheme == "bearer" and token.count(".") == 2:\n'
                '            said = strictjson.parse(url_decode(token.split(".")[1].encode()))\n'
                '            if said.get("role") == "admin":\n'
                "                return await handler(request)\n"
                "        return await bearer(guarded)(request)\n\n"
                "    return early\n",
            ),
            (
                "auth/roles.py",
                "from auth.guards import BEARER_REALM, bearer, credentials\n",
                "from auth.base64 import url_decode\n"
                "from auth.guards import BEARER_REALM, bearer, credentials\n"
                "from web import strictjson\n",
            ),
        ),
        "jwt.decode(token, options={'verify_signature': False})",
    ),
    FeatureMutant(
        "takes a token with any role, or with none",
        "REF-11 ROL-04 ROL-07",
        (
            (
                "auth/tokens.py",
                '    if settings.on("users") and claims.get("role") not in ("basic", "admin"):\n'
                "        return None\n",
                "",
            ),
        ),
        "ROLES.index of a role that there is not",
    ),
    FeatureMutant(
        "fails on a token without a role",
        "REF-11 ROL-04 ROL-07",
        (("auth/tokens.py", 'claims.get("role") not in', 'claims["role"] not in'),),
        "a KeyError, which nobody catches",
    ),
    FeatureMutant(
        "takes whatever role comes for the user's own",
        "ROL-04",
        (
            (
                "auth/tokens.py",
                'claims.get("role") not in ("basic", "admin"):',
                '"role" not in claims:',
            ),
            (
                "auth/roles.py",
                'min(claims.get("role", now), now, key=ROLES.index)',
                "now",
            ),
        ),
        "the claim is asked for, and what it says is not",
    ),
    FeatureMutant(
        "knows a role in any case",
        "ROL-04",
        (
            (
                "auth/tokens.py",
                '    if settings.on("users") and claims.get("role") not in ("basic", "admin"):\n',
                '    if isinstance(claims.get("role"), str):\n'
                '        claims["role"] = claims["role"].lower()\n'
                '    if settings.on("users") and claims.get("role") not in ("basic", "admin"):\n',
            ),
        ),
        "lower() on one side",
    ),
    FeatureMutant(
        "calls everybody by the owner's name",
        "ROL-09",
        (
            (
                "auth/guards.py",
                "        request.g.current_user = user\n",
                '        request.g.current_user = settings.get("user")\n',
            ),
        ),
        "there was one user when it was written",
    ),
    FeatureMutant(
        "compares the password, and not whose it is",
        "ROL-10",
        (
            (
                "auth/passwords.py",
                "equal(derived, expected) & equal(sha256(name).digest(), owner)",
                "equal(derived, expected)",
            ),
        ),
        "the owner's password for every name that it does not know",
    ),
    FeatureMutant(
        "has one password for all users",
        "ROL-01 ROL-03 ROL-09 ROL-10",
        (
            (
                "auth/passwords.py",
                'account = user if settings.role(user) else settings.get("user")',
                'account = settings.get("user")',
            ),
            (
                "auth/passwords.py",
                "equal(derived, expected) & equal(sha256(name).digest(), owner)",
                "equal(derived, expected)",
            ),
        ),
        "users came later, and the password is the device's",
    ),
    FeatureMutant(
        "remembers the last good password, and not whose it was",
        "ROL-10",
        (
            (
                "auth/passwords.py",
                "hmac(_ram_key, expected + owner + hmac(_ram_key, name) + hmac(_ram_key, secret))",
                "hmac(_ram_key, expected + hmac(_ram_key, secret))",
            ),
        ),
        "a cache with half a key",
    ),
)
