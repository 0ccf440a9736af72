"""Mistakes in the HTTP layer: heads, lengths, connections, what answers give away."""

from __future__ import annotations

from .mutant import Mutant

HTTP = (
    Mutant(
        "reads a body of any length",
        "LOG-29",
        (
            ("web/head.py", "MAX_BODY = 16 * 1024", "MAX_BODY = 64 * 1024"),
            ("web/front.py", "OPEN = 16 ", "Request.max_content_length = 64 * 1024\nOPEN = 16 "),
        ),
        "a limit for uploads that never came",
    ),
    Mutant(
        "nests as deep as the text does",
        "LEAK-02 LOG-30",
        (("web/strictjson.py", "def parse(data, depth=8,", "def parse(data, depth=100000,"),),
        "a recursive parser overflows the stack",
    ),
    Mutant(
        "wants a blank behind a field's colon",
        "BRR-13",
        (
            (
                "web/head.py",
                'name, colon, value = line.partition(b":")',
                'name, colon, value = line.partition(b": ")',
            ),
        ),
        "split(': '), as most clients write it",
    ),
    Mutant(
        "strips field names",
        "BRR-14",
        (
            (
                "web/head.py",
                "        if not colon or not _is_token(name):",
                "        name = name.strip()\n        if not colon or not _is_token(name):",
            ),
        ),
        "two servers that read it differently can be played against each other (RFC 9112 §5.1)",
    ),
    Mutant(
        "fails on a folded line",
        "BRR-15 TRN-19",
        (
            (
                "web/head.py",
                '        name, colon, value = line.partition(b":")\n',
                '        name, value = line.split(b":", 1)\n        colon = True\n',
            ),
        ),
        "split(':', 1) of a line without a colon",
    ),
    Mutant(
        "takes the last of several Authorization fields",
        "BRR-16 BRR-17",
        (
            (
                "web/head.py",
                '_ONCE = ("authorization", "content-length",',
                '_ONCE = ("content-length",',
            ),
        ),
        "a dict of the fields, as microdot's",
    ),
    Mutant(
        "takes the first of several Authorization fields",
        "BRR-18",
        (
            (
                "web/head.py",
                '_ONCE = ("authorization", "content-length",',
                '_ONCE = ("content-length",',
            ),
            (
                "web/head.py",
                "            fields[name] = value.strip",
                "            fields[name] = fields.get(name) or value.strip",
            ),
        ),
        "setdefault()",
    ),
    Mutant(
        "gives up on a chunked body",
        "TRN-01",
        (
            (
                "web/head.py",
                '        raise Refusal(411, "Length required")  # RFC 9112 §6.3 allows it; 501 '
                "would be a 5xx\n",
                '        raise NotImplementedError("chunked")\n',
            ),
        ),
        "a coding that was left for later",
    ),
    Mutant(
        "takes what has come for the body",
        "TRN-02",
        (
            (
                "web/front.py",
                "body=connection.data[: head.content_length]",
                'body=connection.data[: head.content_length if "content-length" in head.fields '
                "else 1024]",
            ),
        ),
        "no Content-Length, and whatever is there is read",
    ),
    Mutant(
        "fails on a length that is no number",
        "TRN-03 TRN-05 TRN-06",
        (
            (
                "web/head.py",
                '    if not digits or not all(c in "0123456789" for c in digits):\n'
                '        raise Refusal(400, "Bad Content-Length")\n',
                "",
            ),
            ("web/head.py", "len(digits) > 9 or int(digits) > MAX_BODY", "int(digits) > MAX_BODY"),
        ),
        "int(), and nobody catches what it raises",
    ),
    Mutant(
        "reads to the end for a negative length",
        "TRN-03 TRN-04",
        (
            (
                "web/head.py",
                '    digits = fields.get("content-length", "0")\n',
                '    digits = fields.get("content-length", "0")\n'
                '    if digits[:1] == "-" and digits[1:].isdigit():\n'
                "        return MAX_BODY\n",
            ),
            (
                "web/front.py",
                "        while len(connection.data) < head.content_length:\n",
                "        while len(connection.data) < head.content_length and "
                'head.fields["content-length"][0] != "-":\n',
            ),
        ),
        "read(-1)",
    ),
    Mutant(
        "reads a length with a plus",
        "TRN-05",
        (
            (
                "web/head.py",
                '    digits = fields.get("content-length", "0")\n',
                '    digits = fields.get("content-length", "0")\n'
                '    if digits[:1] == "+":\n'
                "        digits = digits[1:]\n",
            ),
        ),
        "int('+5') is 5",
    ),
    Mutant(
        "reads a length as C does",
        "TRN-03 TRN-06",
        (
            (
                "web/head.py",
                '    digits = fields.get("content-length", "0")\n',
                '    digits = fields.get("content-length", "0")\n'
                "    while digits[:1].isdigit() and not digits.isdigit():\n"
                "        digits = digits[:-1]\n",
            ),
        ),
        "atoi(), which stops at what is no digit",
    ),
    Mutant(
        "takes the last of several lengths",
        "TRN-06",
        (
            (
                "web/head.py",
                '"content-length", "content-type", "expect", "host"',
                '"content-type", "expect", "host"',
            ),
        ),
        "a dict of header fields: request smuggling",
    ),
    Mutant(
        "waits for a silent client",
        "TRN-07",
        (
            ("web/front.py", "IDLE_S = 5 ", "IDLE_S = 3600 "),
            ("web/front.py", "REQUEST_S = 15 ", "REQUEST_S = 3600 "),
        ),
        "asyncio has no timeout of its own",
    ),
    Mutant(
        "lets half-open connections keep others out",
        "TRN-07 TRN-08",
        (
            ("web/front.py", "IDLE_S = 5 ", "IDLE_S = 3600 "),
            ("web/front.py", "REQUEST_S = 15 ", "REQUEST_S = 3600 "),
            ("web/front.py", "                self._make_room()\n", ""),
        ),
        "slowloris",
    ),
    Mutant(
        "reads a line of any length",
        "TRN-09",
        (
            ("web/head.py", "MAX_LINE = 2048 ", "MAX_LINE = 1 << 19 "),
            ("web/head.py", "MAX_HEAD = 8192 ", "MAX_HEAD = 1 << 20 "),
        ),
        "readline() without a limit",
    ),
    Mutant(
        "calls a head too large its own fault",
        "LEAK-02 TRN-10",
        (
            (
                "web/head.py",
                "    if len(data) - start > MAX_LINE or len(data) > MAX_HEAD:\n",
                "    if len(data) - start <= MAX_LINE and len(data) > MAX_HEAD:\n"
                '        raise Refusal(500, "Out of memory")\n'
                "    if len(data) - start > MAX_LINE:\n",
            ),
        ),
        "a limit on the sum, and a status of the wrong class",
    ),
    Mutant(
        "has a table for the fields that is too small",
        "TRN-11",
        (
            (
                "web/head.py",
                '        raise Refusal(431, "Too many fields")\n',
                '        raise IndexError("Too many fields")\n',
            ),
        ),
        "a fixed table, and an IndexError",
    ),
    Mutant(
        "takes a request line without a version",
        "TRN-12",
        (
            (
                "web/head.py",
                '    parts = line.split(b" ")\n',
                '    parts = line.split(b" ")\n'
                "    if len(parts) == 2:\n"
                '        parts.append(b"HTTP/1.0")\n',
            ),
        ),
        "HTTP/0.9, which nobody speaks",
    ),
    Mutant(
        "takes control characters",
        "TRN-13",
        (
            (
                "web/head.py",
                "            if byte < 0x20 and byte != 0x09 or byte == 0x7F:\n",
                "            if byte == 0x0A:\n",
            ),
        ),
        "what is no line end is a character",
    ),
    Mutant(
        "does not want a Host",
        "TRN-14",
        (
            (
                "web/head.py",
                'if self.minor > 0 and not self.fields.get("host"):',
                'if self.minor > 0 and self.fields.get("host") == "":',
            ),
        ),
        "one host, so why ask",
    ),
    Mutant(
        "takes a whole URL for a path",
        "TRN-15",
        (
            (
                "web/head.py",
                '        if not found or scheme.lower() not in ("http", "https"):\n',
                '        if not found or scheme.lower() != "ftp":\n',
            ),
        ),
        "only proxies send that form (RFC 9112 §3.2.2 MUST)",
    ),
    Mutant(
        "keeps the credentials with the connection",
        "TRN-16",
        (
            (
                "web/front.py",
                "        if more_s:\n            await self._drain(connection, more_s)\n",
                "        if more_s:\n"
                "            await self._drain(connection, more_s)\n"
                "        elif connection.data:\n"
                "            await self._converse(connection)\n",
            ),
            (
                "web/front.py",
                "        # Methods are case-sensitive",
                '        connection.credentials = head.fields.setdefault("authorization", '
                "connection.credentials)\n"
                "        body, connection.data = connection.data[: head.content_length], "
                "connection.data[head.content_length :]\n"
                "        # Methods are case-sensitive",
            ),
            (
                "web/front.py",
                "            body=connection.data[: head.content_length],\n",
                "            body=body,\n",
            ),
            (
                "web/front.py",
                '        self.data = b""\n',
                '        self.data = b""\n        self.credentials = ""\n',
            ),
        ),
        "the user is the connection's, as with NTLM",
    ),
    Mutant(
        "does not say 100 Continue",
        "TRN-17",
        (("web/front.py", "        if head.expects_continue and", "        if False and"),),
        "the server waits for the body, and the client for the server",
    ),
    Mutant(
        "takes one packet for a request",
        "TRN-18",
        (
            (
                "web/front.py",
                "            searched = max(0, len(connection.data) - 3)\n",
                "            searched = max(0, len(connection.data) - 3)\n"
                "            if connection.data:\n"
                '                raise Refusal(400, "Request incomplete")\n',
            ),
            (
                "web/front.py",
                "            more = await asyncio.wait_for(connection.reader.read(1024), "
                "min(IDLE_S, left))\n",
                "            more = await asyncio.wait_for(connection.reader.read(8192), "
                "min(IDLE_S, left))\n",
            ),
        ),
        "one recv()",
    ),
    Mutant(
        "sends a body to HEAD",
        "TRN-19",
        (
            (
                "web/answer.py",
                "return head if response.is_head else head + response.body",
                "return head + response.body",
            ),
        ),
        "the same handler, and the same answer",
    ),
    Mutant(
        "ends its answers with a line end",
        "TRN-19",
        (
            (
                "web/answer.py",
                "return head if response.is_head else head + response.body",
                'return head if response.is_head else head + response.body + b"\\r\\n"',
            ),
        ),
        "println() of what already has its length",
    ),
    Mutant(
        "shows its traceback",
        "BRR-22 LEAK-01 LEAK-02",
        (
            (
                "app.py",
                "        except ValueError:\n"
                '            abort(400, "malformed JSON")\n'
                '    if not isinstance(body, dict) or "count"',
                "        except ZeroDivisionError:\n"
                '            abort(400, "malformed JSON")\n'
                '    if not isinstance(body, dict) or "count"',
            ),
            (
                "app.py",
                "@app.errorhandler(405)\n",
                "@app.errorhandler(Exception)\n"
                "async def failed(request, error):\n"
                "    import io\n"
                "    import sys\n"
                "\n"
                "    text = io.StringIO()\n"
                "    sys.print_exception(error, text)\n"
                "    return text.getvalue(), 500\n"
                "\n"
                "\n"
                "@app.errorhandler(405)\n",
            ),
        ),
        "sys.print_exception() into the answer, from the days of debugging",
    ),
    Mutant(
        "serves its files",
        "LEAK-03",
        (
            (
                "app.py",
                "@app.errorhandler(405)\n",
                '@app.get("/static/<path:path>")\n'
                "async def static(request, path):\n"
                "    try:\n"
                "        with open(path) as file:\n"
                "            return file.read()\n"
                "    except (OSError, ValueError):\n"
                "        abort(404)\n"
                "\n"
                "\n"
                "@app.errorhandler(405)\n",
            ),
        ),
        "a route for the web page's files, over the whole flash",
    ),
    Mutant(
        "prints what it gets",
        "LEAK-04",
        (
            (
                "app.py",
                "    if not tokens.available():\n",
                '    print("camera: login", body)\n    if not tokens.available():\n',
            ),
        ),
        "a print left over from debugging",
    ),
    Mutant(
        "tells its version",
        "LEAK-05",
        (
            (
                "web/answer.py",
                '    lines.append("Connection: close\\r\\n\\r\\n")\n',
                '    lines.append("Server: microdot/2.7.0")\n'
                '    lines.append("Connection: close\\r\\n\\r\\n")\n',
            ),
        ),
        "the framework's default",
    ),
    Mutant(
        "lets what it protects be cached",
        "LEAK-06",
        (
            (
                "app.py",
                '    response.headers["Cache-Control"] = "no-store"',
                '    response.headers["Cache-Control"] = "no-store" if request.path == '
                '"/api/login" else "max-age=60"',
            ),
        ),
        "no-store for the token, and not for the page",
    ),
    Mutant(
        "repeats the claims of a token that it refuses",
        "EXP-20 LEAK-08",
        (
            (
                "auth/guards.py",
                '            return "401 error", 401, {"WWW-Authenticate": BEARER_REALM + shown}\n',
                '            parts = token.split(".")\n'
                "            try:\n"
                '                told = decode((parts[1] + "=" * (-len(parts[1]) % '
                "4)).encode()).decode()\n"
                "            except (ValueError, IndexError):\n"
                '                told = "401 error"\n'
                '            return told, 401, {"WWW-Authenticate": BEARER_REALM + shown}\n',
            ),
        ),
        "repr(error) as the answer",
    ),
    Mutant(
        "lets every page read its answers",
        "LEAK-09",
        (
            (
                "web/answer.py",
                '    lines.append("Connection: close\\r\\n\\r\\n")\n',
                '    lines.append("Access-Control-Allow-Origin: *")\n'
                '    lines.append("Connection: close\\r\\n\\r\\n")\n',
            ),
        ),
        "CORS(app, allowed_origins='*') from a tutorial",
    ),
    Mutant(
        "has a door for the developers",
        "LEAK-10",
        (
            (
                "main.py",
                "    asyncio.create_task(network(wlan, port))\n",
                '    await asyncio.start_server(Front(app).serve, "0.0.0.0", 8266, 1)\n'
                "    asyncio.create_task(network(wlan, port))\n",
            ),
        ),
        "import webrepl in boot.py",
    ),
    Mutant(
        "resets itself before its memory is full",
        "TRN-08 TRN-20",
        (
            (
                "web/front.py",
                "        self.waiting = 0\n\n    async def serve",
                "        self.waiting = 0\n        self.refused = 0\n\n    async def serve",
            ),
            (
                "web/front.py",
                "        except Refusal as refusal:\n            response",
                "        except Refusal as refusal:\n"
                "            self.refused += 1\n"
                "            if self.refused == 250:\n"
                "                import machine\n"
                "\n"
                "                machine.reset()\n"
                "            response",
            ),
        ),
        "a leak on an error's way out, and a reset that hides it; the group's guard tells it, too",
    ),
)
