"""Mistakes in the Basic scheme: its challenge, its parser, the password behind it."""

from __future__ import annotations

from .mutant import Mutant

BASIC = (
    Mutant(
        "knows Basic in one spelling only",
        "BAS-05",
        (
            (
                "auth/guards.py",
                '    if scheme != "basic":\n',
                '    if not request.headers.get("authorization", "").startswith("Basic "):\n',
            ),
        ),
        "microdot's startswith('Basic ')",
    ),
    Mutant(
        "asks for no Basic credentials",
        "BAS-01 BAS-02 BAS-04",
        (
            (
                "auth/guards.py",
                'return "", 401, {"WWW-Authenticate": BASIC_REALM}',
                'return "", 401',
            ),
        ),
        "abort(401) adds no header field: a browser shows no dialog",
    ),
    Mutant(
        "has a framework's realm",
        "BAS-02",
        (("auth/guards.py", 'realm="Backyard cam admin"', 'realm="Login Required"'),),
        "Flask-HTTPAuth's default realm is Authentication Required",
    ),
    Mutant(
        "claims Latin-1 in its challenge",
        "BAS-02",
        (("auth/guards.py", 'charset="UTF-8"', 'charset="ISO-8859-1"'),),
        "RFC 7617 §2.1 knows one value",
    ),
    Mutant(
        "greets nobody",
        "BAS-03",
        (
            (
                "auth/guards.py",
                "        request.g.current_user = user_pass[0]\n",
                '        request.g.current_user = "None"\n',
            ),
        ),
        "the identity does not reach the handler",
    ),
    Mutant(
        "says that there is no such user",
        "BAS-04",
        (
            (
                "auth/guards.py",
                '            return "", 401, {"WWW-Authenticate": BASIC_REALM}\n',
                '            known = user_pass and user_pass[0] == settings.get("user")\n'
                '            text = "" if user_pass is None or known else "no such user"\n'
                '            return text, 401, {"WWW-Authenticate": BASIC_REALM}\n',
            ),
        ),
        "a kind text, which tells who exists (ASVS 6.3.8)",
    ),
    Mutant(
        "takes one blank before Basic credentials",
        "BAS-06",
        (
            (
                "auth/guards.py",
                '    if scheme != "basic":\n        return None\n',
                '    if scheme != "basic":\n        return None\n'
                '    token = request.headers["authorization"][6:]\n',
            ),
        ),
        "the credentials are everything after the first blank",
    ),
    Mutant(
        "fails on what is not Base64",
        "BAS-07 BAS-08 BAS-09 BAS-11 BAS-13 LEAK-02",
        (
            (
                "auth/guards.py",
                "    except ValueError:\n        return None\n    # RFC 7617",
                "    except KeyError:\n        return None\n    # RFC 7617",
            ),
        ),
        "an exception of a2b_base64 that nobody catches",
    ),
    Mutant(
        "takes a TAB for a blank before Basic credentials",
        "BAS-07",
        (
            (
                "auth/guards.py",
                '    scheme, token = credentials(request)\n    if scheme != "basic":\n        '
                "return None\n",
                "    scheme, token = credentials(request)\n"
                '    parts = request.headers.get("authorization", "").split()\n'
                "    if len(parts) == 2:\n        scheme, token = parts[0].lower(), parts[1]\n"
                '    if scheme != "basic":\n        return None\n',
            ),
        ),
        "split(), which splits at any white space",
    ),
    Mutant(
        "fails on credentials that are no UTF-8",
        "BAS-08 BAS-09 LEAK-02",
        (("auth/guards.py", "        check_utf8(user_pass)\n", ""),),
        "decode() raises UnicodeError, which nobody catches",
    ),
    Mutant(
        "splits user and password at every colon",
        "BAS-09",
        (
            (
                "auth/guards.py",
                '    user, colon, password = user_pass.decode().partition(":")\n',
                '    user, colon, password = user_pass.decode().partition(":")\n'
                '    password = password.split(":")[0]\n',
            ),
        ),
        "split(':') without a limit",
    ),
    Mutant(
        "splits user and password at the last colon",
        "BAS-09",
        (
            (
                "auth/guards.py",
                'user_pass.decode().partition(":")',
                'user_pass.decode().rpartition(":")',
            ),
        ),
        "rsplit for split",
    ),
    Mutant(
        "reads Basic credentials as Latin-1",
        "BAS-09",
        (
            ("auth/guards.py", "        check_utf8(user_pass)\n", ""),
            (
                "auth/guards.py",
                "user, colon, password = user_pass.decode().partition",
                'user, colon, password = "".join(chr(b) for b in user_pass).partition',
            ),
        ),
        "what browsers did before RFC 7617",
    ),
    Mutant(
        "ends Basic credentials at a NUL",
        "BAS-10",
        (
            (
                "auth/guards.py",
                "    return (user, password) if colon else None\n",
                '    return (user, password.split("\\0")[0]) if colon else None\n',
            ),
        ),
        "a comparison in C",
    ),
    Mutant(
        "strips Basic credentials",
        "BAS-10",
        (
            (
                "auth/guards.py",
                "user, colon, password = user_pass.decode().partition",
                "user, colon, password = user_pass.decode().strip().partition",
            ),
        ),
        "strip() against the line feed that echo | base64 leaves",
    ),
    Mutant(
        "skips junk in Base64",
        "BAS-07 BAS-11",
        (
            (
                "auth/base64.py",
                '    if b2a_base64(data)[:-1] != text:\n        raise ValueError("not canonical '
                'base64")\n',
                "",
            ),
            (
                "auth/guards.py",
                '    if scheme != "basic":\n        return None\n',
                '    if scheme != "basic":\n        return None\n'
                '    token = request.headers["authorization"].partition(" ")[2].lstrip(" ")\n',
            ),
        ),
        "a2b_base64 skips what it does not know (RFC 4648 §3.3)",
    ),
    Mutant(
        "lets anybody in who knows the password",
        "BAS-04 BAS-10 BAS-12",
        (
            (
                "auth/guards.py",
                "await password_is_right(request, *user_pass)",
                'await password_is_right(request, settings.get("user"), user_pass[1])',
            ),
        ),
        "there is one user only, so why look at the name",
    ),
    Mutant(
        "takes a token for Basic credentials",
        "BAS-13",
        (
            (
                "auth/guards.py",
                "        user_pass = _user_pass(request)\n",
                "        scheme, token = credentials(request)\n"
                '        if scheme == "bearer" and tokens.verify(token):\n'
                '            request.g.current_user = settings.get("user")\n'
                "            return await handler(request)\n"
                "        user_pass = _user_pass(request)\n",
            ),
        ),
        "one guard for both schemes",
    ),
    Mutant(
        "shows the admin page to HEAD and OPTIONS",
        "BAS-14",
        (
            (
                "app.py",
                '@app.get("/admin")\n@basic\n',
                '@app.route("/admin", methods=["POST", "PUT", "DELETE", "PATCH"])\n'
                'async def unguarded(request):\n    return "hi owner"\n\n\n'
                '@app.get("/admin")\n@basic\n',
            ),
        ),
        "a guard on GET only (WSTG-ATHN-04)",
    ),
    Mutant(
        "shows the admin page in its 401",
        "BAS-15",
        (
            (
                "auth/guards.py",
                '            return "", 401, {"WWW-Authenticate": BASIC_REALM}\n',
                '            request.g.current_user = settings.get("user")\n'
                "            page = await handler(request)\n"
                '            return page, 401, {"WWW-Authenticate": BASIC_REALM}\n',
            ),
        ),
        "the page is rendered first, and the status set afterwards",
    ),
    Mutant(
        "does not slow down guesses by Basic",
        "BAS-16",
        (
            (
                "auth/guards.py",
                "not await password_is_right(request, *user_pass)",
                "not await passwords.accepts(*user_pass)",
            ),
        ),
        "the login is throttled, and the Basic route is not",
    ),
)
