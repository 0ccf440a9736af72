"""Mistakes in the routes: what the login and the ack take, the guard of tokens, the answers."""

from __future__ import annotations

from .mutant import Mutant

ROUTES = (
    Mutant(
        "fails on a login that is no JSON",
        "LOG-16 LOG-17 LOG-19 LOG-20 LOG-24 LOG-30 LEAK-02",
        (
            (
                "app.py",
                '    except ValueError:\n        abort(400, "malformed JSON")\n'
                "    if not isinstance(body, dict):\n",
                '    except KeyError:\n        abort(400, "malformed JSON")\n'
                "    if not isinstance(body, dict):\n",
            ),
        ),
        "the parser's exception, which nobody catches",
    ),
    Mutant(
        "takes every JSON value for an object",
        "LOG-18 LEAK-02",
        (
            (
                "app.py",
                '    if not isinstance(body, dict):\n        abort(400, "object wanted")\n',
                "",
            ),
        ),
        "body.get, whatever body is",
    ),
    Mutant(
        "takes every JSON value for a password",
        "LOG-09 LOG-10 LOG-11 LEAK-02",
        (
            (
                "app.py",
                "not isinstance(user, str) or not isinstance(password, str)",
                "not isinstance(user, str)",
            ),
        ),
        "a hash function that fails on what is no text",
    ),
    Mutant(
        "reads a login with MicroPython's json",
        "LOG-16 LOG-19 LOG-20 LOG-24 LOG-25",
        (
            ("app.py", "import clock\n", "import json\n\nimport clock\n"),
            (
                "app.py",
                "        body = strictjson.parse(request.body)\n    except ValueError:\n"
                '        abort(400, "malformed JSON")\n    if not',
                "        body = json.loads(request.body)\n    except ValueError:\n"
                '        abort(400, "malformed JSON")\n    if not',
            ),
        ),
        "request.json, as microdot has it",
    ),
    Mutant(
        "reads a login of any media type",
        "LOG-13 LOG-14",
        (
            (
                "app.py",
                '    if media_type(request) != "application/json":\n'
                '        abort(415, "application/json wanted")\n',
                "",
            ),
        ),
        "what browsers send across origins without asking (text/plain)",
    ),
    Mutant(
        "takes a login from a form",
        "LOG-15",
        (
            (
                "app.py",
                '    if media_type(request) != "application/json":\n'
                '        abort(415, "application/json wanted")\n'
                "    try:\n        body = strictjson.parse(request.body)\n",
                '    form = media_type(request) == "application/x-www-form-urlencoded"\n'
                '    if media_type(request) != "application/json" and not form:\n'
                '        abort(415, "application/json wanted")\n'
                "    try:\n"
                "        body = {k: request.form[k] for k in request.form} if form else "
                "strictjson.parse(request.body)\n",
            ),
        ),
        "a framework that reads form and JSON alike",
    ),
    Mutant(
        "takes a login from the query",
        "LOG-31",
        (
            ("web/front.py", "            head.path,\n", "            head.target,\n"),
            (
                "web/head.py",
                "        self.path = _path(target)\n",
                "        self.path = _path(target)\n"
                '        self.target = self.path + "?" + target.partition("?")[2]\n',
            ),
            (
                "app.py",
                '    user, password = body.get("user"), body.get("pass")\n',
                '    user = body.get("user", request.args.get("user"))\n'
                '    password = body.get("pass", request.args.get("pass"))\n',
            ),
        ),
        "arguments and body merged, as PHP's $_REQUEST",
    ),
    Mutant(
        "compares media types with case",
        "LOG-21",
        (("web/media.py", '.strip(" \\t").lower()', '.strip(" \\t")'),),
        "microdot 2.0 does",
    ),
    Mutant(
        "knows no space before a media type's parameter",
        "LOG-22",
        (("web/media.py", '.strip(" \\t").lower()', ".lower()"),),
        "split(';')[0], as microdot does",
    ),
    Mutant(
        "knows no parameters of a media type",
        "LOG-22 LOG-23",
        (("web/media.py", '.partition(";")[0].strip(" \\t")', ""),),
        "the whole field is compared with application/json",
    ),
    Mutant(
        "takes a GET for a login",
        "LOG-32",
        (
            (
                "app.py",
                '@app.post("/api/login")',
                '@app.route("/api/login", methods=["GET", "POST"])',
            ),
        ),
        "a route for more methods than it should have",
    ),
    Mutant(
        "does not say which methods it allows",
        "LOG-33",
        (("app.py", ', 405, {"Allow": allowed(request)}', ", 405"),),
        "microdot sends no Allow (RFC 9110 §15.5.6 MUST)",
    ),
    Mutant(
        "refuses a login without a challenge",
        "LOG-34",
        (
            (
                "app.py",
                'return "401 error", 401, {"WWW-Authenticate": BEARER_REALM}',
                'return "401 error", 401',
            ),
        ),
        "abort(401), which adds no header field",
    ),
    Mutant(
        "lets tokens be cached",
        "LEAK-06 LOG-35",
        (
            (
                "app.py",
                'response.headers["Cache-Control"] = "no-store"',
                'response.headers["Cache-Control"] = "private"',
            ),
        ),
        "private keeps it in the browser's cache",
    ),
    Mutant(
        "echoes the login",
        "LOG-40",
        (
            (
                "app.py",
                'return {"token": tokens.issue(user)}',
                'body["token"] = tokens.issue(user)\n    return body',
            ),
        ),
        "the request's object, with the token put in",
    ),
    Mutant(
        "sends the token as plain text",
        "LOG-40",
        (
            (
                "app.py",
                'return {"token": tokens.issue(user)}',
                'return \'{"token": "%s"}\' % tokens.issue(user)',
            ),
        ),
        "json.dumps() by hand, and no Content-Type",
    ),
    Mutant(
        "tells whether a user exists",
        "LOG-07",
        (
            (
                "app.py",
                "    if not await password_is_right(request, user, password):\n        "
                "abort(401)\n",
                "    if not await password_is_right(request, user, password):\n"
                '        if user != settings.get("user"):\n'
                '            return "no such user", 401, {"WWW-Authenticate": BEARER_REALM}\n'
                "        abort(401)\n",
            ),
        ),
        "a kind text (WSTG-IDNT-04)",
    ),
    Mutant(
        "knows its user in any case",
        "LOG-27",
        (
            (
                "app.py",
                '    user, password = body.get("user"), body.get("pass")\n',
                '    user, password = body.get("user"), body.get("pass")\n'
                "    if isinstance(user, str):\n        user = user.lower()\n",
            ),
        ),
        "lower() on one side: two accounts become one",
    ),
    Mutant(
        "strips the password",
        "LOG-26",
        (
            (
                "app.py",
                "await password_is_right(request, user, password):",
                "await password_is_right(request, user, password.strip()):",
            ),
        ),
        "strip() against what people paste",
    ),
    Mutant(
        "does not slow down guesses by login",
        "LOG-36",
        (
            (
                "app.py",
                "    if not await password_is_right(request, user, password):\n",
                "    from auth import passwords\n\n    if not await passwords.accepts(user, "
                "password):\n",
            ),
        ),
        "nothing counts failures",
    ),
    Mutant(
        "answers without a name",
        "BRR-01",
        (
            (
                "app.py",
                'return {"ok": True, "user": request.g.current_user}',
                'return {"ok": True}',
            ),
        ),
        "the verifier's identity does not reach the handler",
    ),
    Mutant(
        "calls a missing token a bad request",
        "BRR-02 BRR-03 BRR-05 BRR-19 BRR-20 TRN-15",
        (
            (
                "auth/guards.py",
                "        if user is None:\n",
                '        if "authorization" not in request.headers:\n'
                '            return "no Authorization", 400\n'
                "        if user is None:\n",
            ),
        ),
        "a field that is missing, like any other",
    ),
    Mutant(
        "sends no challenge for tokens",
        "BRR-03 BRR-04 BRR-05",
        (
            (
                "auth/guards.py",
                ', 401, {"WWW-Authenticate": BEARER_REALM + shown}',
                ", 401",
            ),
        ),
        "microdot's TokenAuth only calls abort(401)",
    ),
    Mutant(
        "has the same challenge for every token",
        "BRR-04",
        (("auth/guards.py", "BEARER_REALM + shown}", "BEARER_REALM}"),),
        "one challenge for all refusals",
    ),
    Mutant(
        "calls a token invalid that was never shown",
        "BRR-05",
        (
            (
                "auth/guards.py",
                'shown = \', error="invalid_token"\' if scheme == "bearer" and token else ""',
                "shown = ', error=\"invalid_token\"'",
            ),
        ),
        "one challenge for all refusals (RFC 6750 §3.1)",
    ),
    Mutant(
        "fails on an Authorization without a token",
        "BRR-06 BRR-09 BRR-10 BRR-12 JWT-05 LEAK-02",
        (
            (
                "auth/guards.py",
                '        user = tokens.verify(token) if scheme == "bearer" and token else None\n',
                '        if "authorization" in request.headers:\n'
                '            request.headers["authorization"].split(" ", 1)[1]\n'
                '        user = tokens.verify(token) if scheme == "bearer" and token else None\n',
            ),
        ),
        "split(' ', 1) of what has no blank",
    ),
    Mutant(
        "knows Bearer in one spelling only",
        "BRR-07",
        (
            (
                "auth/guards.py",
                'tokens.verify(token) if scheme == "bearer" and token else None',
                'tokens.verify(token) if request.headers.get("authorization", '
                '"").startswith("Bearer ") else None',
            ),
        ),
        "startswith('Bearer ')",
    ),
    Mutant(
        "takes one blank after a scheme",
        "BAS-06 BRR-08",
        (("auth/guards.py", '    rest = rest.lstrip(" ")\n', ""),),
        "the token is everything after the first blank",
    ),
    Mutant(
        "takes a TAB for a blank",
        "BAS-07 BRR-09",
        (
            (
                "auth/guards.py",
                '    scheme, _, rest = field.partition(" ")\n',
                '    scheme, _, rest = field.replace("\\t", " ").partition(" ")\n',
            ),
        ),
        "split(), which splits at any white space",
    ),
    Mutant(
        "takes a token without a scheme",
        "BRR-10",
        (
            (
                "auth/guards.py",
                "        scheme, token = credentials(request)\n        user = ",
                "        scheme, token = credentials(request)\n"
                "        if not token:\n"
                '            scheme, token = "bearer", request.headers.get("authorization", "")\n'
                "        user = ",
            ),
        ),
        "the scheme is cut off where it is there, and not demanded",
    ),
    Mutant(
        "takes a token under any scheme",
        "BRR-11 BRR-12",
        (
            (
                "auth/guards.py",
                'tokens.verify(token) if scheme == "bearer" and token else None',
                "tokens.verify(token) if token else None",
            ),
        ),
        "whatever stands behind the first blank is a token",
    ),
    Mutant(
        "finds a token in quotes",
        "BAS-07 BRR-12",
        (
            (
                "auth/guards.py",
                '    rest = rest.lstrip(" ")\n',
                '    rest = rest.lstrip(" ").strip(\'"\')\n',
            ),
        ),
        "strip('\"'), as other schemes' parameters need it",
    ),
    Mutant(
        "takes the last word for the token",
        "BRR-12",
        (
            (
                "auth/guards.py",
                '    rest = rest.lstrip(" ")\n',
                '    rest = rest.split(" ")[-1] if scheme.lower() == "bearer" else '
                'rest.lstrip(" ")\n',
            ),
        ),
        "split()[-1]",
    ),
    Mutant(
        "finds a token in a cookie",
        "BRR-19",
        (
            (
                "auth/guards.py",
                "        scheme, token = credentials(request)\n        user = ",
                "        scheme, token = credentials(request)\n"
                '        if not token and "access_token" in request.cookies:\n'
                '            scheme, token = "bearer", request.cookies["access_token"]\n'
                "        user = ",
            ),
        ),
        "a second place for the token: cookies go along from other origins",
    ),
    Mutant(
        "takes X-Authorization for Authorization",
        "BRR-19",
        (
            (
                "auth/guards.py",
                '    field = request.headers.get("authorization", "")\n',
                '    field = request.headers.get("authorization", "")\n'
                '    field = field or request.headers.get("x-authorization", "")\n',
            ),
        ),
        "for a proxy that eats Authorization",
    ),
    Mutant(
        "reads the body before the token",
        "BRR-20",
        (
            (
                "auth/guards.py",
                "        scheme, token = credentials(request)\n        user = ",
                '        if not request.body:\n            abort(400, "no body")\n'
                "        scheme, token = credentials(request)\n        user = ",
            ),
        ),
        "a decorator that parses, and fails first",
    ),
    Mutant(
        "has another text for a missing count",
        "BRR-21",
        (
            (
                "app.py",
                '        abort(400, "missing count")\n',
                '        abort(400, "no count")\n',
            ),
        ),
        "an API's texts are part of it",
    ),
    Mutant(
        "fails on an ack that is no JSON",
        "BRR-22 LEAK-02",
        (
            (
                "app.py",
                '        except ValueError:\n            abort(400, "malformed JSON")\n',
                '        except KeyError:\n            abort(400, "malformed JSON")\n',
            ),
        ),
        "json.loads raises in request.json",
    ),
    Mutant(
        "looks for count in whatever comes",
        "BRR-21 BRR-22 BRR-23 BRR-24 LEAK-02 TRN-02",
        (
            (
                "app.py",
                'if not isinstance(body, dict) or "count" not in body:',
                'if "count" not in body:',
            ),
        ),
        "'count' in body is true of texts, and fails on None",
    ),
    Mutant(
        "finds count in a text and in a list",
        "BRR-24",
        (
            (
                "app.py",
                'if not isinstance(body, dict) or "count" not in body:',
                'if not isinstance(body, (dict, list, str)) or "count" not in body:',
            ),
            (
                "app.py",
                '    if type(body["count"]) is not int or',
                '    if isinstance(body, dict) and type(body["count"]) is not int or '
                "isinstance(body, dict) and",
            ),
        ),
        "'count' in body is true of a text that contains it",
    ),
    Mutant(
        "takes any count",
        "BRR-25",
        (
            (
                "app.py",
                '    if type(body["count"]) is not int or body["count"] < 0:\n'
                '        abort(400, "count must be a whole number")\n',
                "",
            ),
        ),
        "presence is checked, and not the value",
    ),
    Mutant(
        "acknowledges a GET of anybody",
        "BRR-26",
        (
            (
                "app.py",
                '@app.post("/api/ack")\n',
                '@app.get("/api/ack")\n'
                'async def unguarded(request):\n    return {"ok": True, "user": "owner"}\n\n\n'
                '@app.post("/api/ack")\n',
            ),
        ),
        "a guard that looks at one method only",
    ),
    Mutant(
        "guards one spelling of the path",
        "BRR-27",
        (
            (
                "app.py",
                '@app.post("/api/ack")\n',
                '@app.post("/api/ack/")\n'
                'async def unguarded(request):\n    return {"ok": True, "user": "owner"}\n\n\n'
                '@app.post("/api/ack")\n',
            ),
        ),
        "the guard matches the path as it is, the router a normalised one",
    ),
    Mutant(
        "answers many bad tokens by refusing a good one",
        "BRR-28 JWT-19 JWT-42",
        (
            (
                "auth/guards.py",
                "        if user is None:\n",
                "        address = request.client_addr[0]\n"
                "        many = bad.get(address, 0) > 50\n"
                "        bad[address] = bad.get(address, 0) + 1 if user is None else 0\n"
                "        if user is None or many:\n",
            ),
            ("auth/guards.py", "def bearer(handler):\n", "bad = {}\n\n\ndef bearer(handler):\n"),
        ),
        "a lock that counts refusals, and lets go when it has struck",
    ),
    Mutant(
        "takes a token forty times",
        "BRR-29",
        (
            (
                "auth/guards.py",
                "        if user is None:\n",
                "        if user:\n"
                "            uses[token] = uses.get(token, 0) + 1\n"
                "            if uses[token] > 40:\n"
                "                request.g.retry_after = 60\n                abort(429)\n"
                "        if user is None:\n",
            ),
            ("auth/guards.py", "def bearer(handler):\n", "uses = {}\n\n\ndef bearer(handler):\n"),
        ),
        "a limit of calls, and a count that nothing takes back",
    ),
    Mutant(
        "takes Basic credentials for a token",
        "BRR-30",
        (
            (
                "auth/guards.py",
                "        user = tokens.verify(token) if",
                "        user_pass = _user_pass(request)\n"
                "        if user_pass and await password_is_right(request, *user_pass):\n"
                "            request.g.current_user = user_pass[0]\n"
                "            return await handler(request)\n"
                "        user = tokens.verify(token) if",
            ),
        ),
        "one guard for both schemes",
    ),
    Mutant(
        "answers forty logins in a row",
        "LOG-39",
        (
            (
                "app.py",
                '    return {"token": tokens.issue(user)}',
                "    global in_a_row\n"
                "    in_a_row += 1\n"
                "    if in_a_row > 40:\n"
                "        request.g.retry_after = 1\n"
                "        abort(429)\n"
                '    return {"token": tokens.issue(user)}',
            ),
            ("app.py", "app = Microdot()\n", "app = Microdot()\nin_a_row = 0\n"),
            (
                "app.py",
                '    response.headers["Cache-Control"] = "no-store"',
                "    global in_a_row\n"
                '    if request.path != "/api/login" or response.status_code != 200:\n'
                "        in_a_row = 0\n"
                '    response.headers["Cache-Control"] = "no-store"',
            ),
        ),
        "a table with forty places",
    ),
    Mutant(
        "acknowledges in whatever name the body says",
        "BRR-01",
        (
            (
                "app.py",
                '"user": request.g.current_user}',
                '"user": body.get("user", request.g.current_user)}',
            ),
        ),
        "the client knows best who it is",
    ),
    Mutant(
        "signs whatever claims a login brings",
        "LOG-03",
        (
            ("app.py", "tokens.issue(user)}", "tokens.issue(user, body)}"),
            ("auth/tokens.py", "def issue(user, sid=None):", "def issue(user, body):"),
            (
                "auth/tokens.py",
                '    if sid:\n        claims["sid"] = sid\n',
                '    claims.update((n, body[n]) for n in body if n not in ("user", "pass"))\n',
            ),
        ),
        "mass assignment: dict(body, exp=…) the wrong way round",
    ),
    Mutant(
        "locks its owner out after wrong passwords",
        "BAS-16 LOG-36 LOG-37",
        (
            (
                "auth/throttle.py",
                "    delay = _delay_ms(peer.failures, longest_ms)\n",
                "    raise Busy(60)\n    delay = _delay_ms(peer.failures, longest_ms)\n",
            ),
        ),
        "a throttle that looks at failures before it looks at the password (ASVS 6.3.1)",
    ),
)
