"""Mistakes in the device grant: its codes, who asks, who lets in, and how long."""

from __future__ import annotations

from .mutant import FeatureMutant

DEVICE = (
    FeatureMutant(
        "does not say how often a device may ask",
        "DEV-01",
        (("routes/device.py", '            "interval": device.INTERVAL,\n', ""),),
        "without it the interval is 5 s (RFC 8628 §3.2)",
    ),
    FeatureMutant(
        "says in minutes how long a code lives",
        "DEV-01",
        (
            (
                "routes/device.py",
                '"expires_in": device.EXPIRES',
                '"expires_in": device.EXPIRES // 60',
            ),
        ),
        "minutes for seconds",
    ),
    FeatureMutant(
        "has user codes of four letters",
        "DEV-02",
        (("auth/device.py", "_LENGTH = 8\n", "_LENGTH = 4\n"),),
        "17 bits (ASVS 6.5.4 wants 20)",
    ),
    FeatureMutant(
        "counts its devices",
        "DEV-02",
        (
            (
                "auth/device.py",
                "    device_code = url_encode(os.urandom(24)).decode()\n",
                '    device_code = "%032d" % time.ticks_us()\n',
            ),
        ),
        "a number that nobody has had before, and everybody can guess",
    ),
    FeatureMutant(
        "tells a device that waits 200",
        "DEV-03 DEV-08",
        (
            (
                "routes/device.py",
                '            return {"error": refused.code}, 400\n        pair',
                '            waits = refused.code == "authorization_pending"\n'
                '            return {"error": refused.code}, 200 if waits else 400\n        pair',
            ),
        ),
        "nothing has gone wrong yet",
    ),
    FeatureMutant(
        "has a word of its own for a device that waits",
        "DEV-03",
        (("auth/device.py", '"authorization_pending"', '"pending"'),),
        "the tutorial's word; a client waits on the RFC's",
    ),
    FeatureMutant(
        "lets a device ask as often as it likes",
        "DEV-04",
        (("auth/device.py", 'Refused("slow_down" if early else', 'Refused("slow_down" if 0 else'),),
        "interval is told, and nobody looks at it",
    ),
    FeatureMutant(
        "knows a device by the beginning of its code",
        "DEV-05",
        (
            (
                "auth/device.py",
                "self.device = sha256(device_code.encode()).digest()",
                "self.device = device_code",
            ),
            (
                "auth/device.py",
                "if equal(shown, session.device):",
                "if session.device.startswith(device_code):",
            ),
        ),
        "startswith for ==",
    ),
    FeatureMutant(
        "fails on a code that it does not know",
        "DEV-05 DEV-07 DEV-10",
        (
            (
                "auth/device.py",
                '        raise Refused("invalid_grant")\n    if',
                "        raise KeyError\n    if",
            ),
        ),
        "a lookup's exception, which nobody catches",
    ),
    FeatureMutant(
        "fails without a device code",
        "DEV-06",
        (
            (
                "routes/device.py",
                '        if not shown.get("device_code"):\n'
                '            return {"error": "invalid_request"}, 400\n',
                "",
            ),
        ),
        'form["device_code"] raises KeyError',
    ),
    FeatureMutant(
        "has one table for both codes",
        "DEV-07",
        (
            (
                "auth/device.py",
                "if equal(shown, session.device):",
                'if equal(shown, session.device) or device_code.replace("-", "") == '
                "session.user_code:",
            ),
        ),
        "whoever looks over the user's shoulder gets the tokens",
    ),
    FeatureMutant(
        "lets the oldest device in, whatever is typed",
        "DEV-05 DEV-08",
        (
            (
                "auth/device.py",
                "            if equal(typed, session.user_code.encode()):\n",
                "            if typed:\n",
            ),
        ),
        "there is one device",
    ),
    FeatureMutant(
        "asks for a password to let a device in, and looks at none",
        "DEV-08",
        (
            (
                "routes/device.py",
                "        if not await password_is_right(request, user, password):\n",
                "        if not password:\n",
            ),
        ),
        "the form is there, and the check is to come",
    ),
    FeatureMutant(
        "lets a device in by its code alone",
        "DEV-08",
        (
            (
                "routes/device.py",
                '        user_code, user = typed.get("user_code", ""), typed.get("user", "")\n',
                '        user_code = typed.get("user_code", "")\n'
                '        user = typed.get("user", settings.get("user"))\n',
            ),
            (
                "routes/device.py",
                "        if not (user_code and user and password):\n",
                "        if not user_code:\n",
            ),
            (
                "routes/device.py",
                "        if not await password_is_right(request, user, password):\n",
                '        if "password" in typed and not await password_is_right(\n'
                "            request, user, password\n"
                "        ):\n",
            ),
        ),
        "the code stands on the device, so whoever has it stands before it",
    ),
    FeatureMutant(
        "fails on a wrong user code",
        "DEV-08 DEV-09 DEV-11",
        (
            (
                "auth/device.py",
                "                return True\n    return False\n",
                "                return True\n    raise KeyError\n",
            ),
        ),
        "a lookup's exception, which nobody catches",
    ),
    FeatureMutant(
        "does not count wrong user codes",
        "DEV-09",
        (("routes/device.py", "            throttle.failed(guesser)\n", ""),),
        "the password is throttled, and the code is not",
    ),
    FeatureMutant(
        "forgets wrong user codes at each right password",
        "DEV-09",
        (
            (
                "routes/device.py",
                'guesser = "user code " + request.client_addr[0]',
                "guesser = request.client_addr[0]",
            ),
        ),
        "one count for both",
    ),
    FeatureMutant(
        "gives tokens as often as it is asked",
        "DEV-10",
        (("auth/device.py", "    _pending.remove(session)\n    if passwords", "    if passwords"),),
        "a code is marked as used when it expires",
    ),
    FeatureMutant(
        "does not look when its codes end",
        "DEV-11",
        (
            (
                "auth/device.py",
                "return not self.began <= clock.unix() < self.began + EXPIRES",
                "return False",
            ),
        ),
        "expires_in is told, and nobody looks at it",
    ),
    FeatureMutant(
        "gives tokens for a code that has expired",
        "DEV-11",
        (
            (
                "auth/device.py",
                '    if session.expired():\n        raise Refused("expired_token")\n',
                "",
            ),
        ),
        "the user is stopped, and the device is not",
    ),
    FeatureMutant(
        "shows a code of the URL as it stands there",
        "DEV-14",
        (
            ("web/front.py", "            head.path,\n", "            head.target,\n"),
            (
                "web/head.py",
                "        self.path = _path(target)\n",
                "        self.path = _path(target)\n"
                '        self.target = self.path + "?" + target.partition("?")[2]\n',
            ),
            (
                "routes/device.py",
                'Type it here to let the device in.")\n',
                'Type it here to let the device in.", request.args.get("user_code", ""))\n',
            ),
            ("routes/device.py", "escaped(user_code), escaped(user)", "user_code, escaped(user)"),
        ),
        "verification_uri_complete, and a page put together with format",
    ),
)
