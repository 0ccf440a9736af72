# A doorbell with a camera: rings, shows its settings page, and lets the house's own programs in.
#
#   POST /v1/session   {"name": ..., "passphrase": ...}    -> {"access_token": ..., "expires_in": 900}
#   POST /v1/ring      Bearer, {"chime": "front"}          -> {"rung": "front", "by": ...}
#   GET  /settings     Basic                               -> a line of text
#
# house.json, beside this file:
#   {"resident": ..., "passphrase": ..., "hostname": ..., "wlan": [SSID, KEY], "ntp": HOST or ""}

import asyncio
import json

import microdot.microdot
import network
import session
from microdot import Microdot, Request

CHIMES = ("front", "garden")
HOUSE = "house.json"

PATIENCE = 2  # seconds for a whole request, which has some 300 bytes


class Fields(microdot.microdot.NoCaseDict):
    """Header fields. What raises here is answered by microdot with 400."""

    def __setitem__(self, name, value):
        if name.lower() == "content-length" and (name in self or not value.isdigit()):
            raise ValueError("a length is given once, and in digits")
        if "\0" in value:
            raise ValueError("NUL")
        super().__setitem__(name, value)


microdot.microdot.NoCaseDict = Fields


read_request = Request.create


async def read_in_time(*args):
    """microdot itself would wait for ever. What raises here is answered with 400, too."""
    return await asyncio.wait_for(read_request(*args), PATIENCE)


Request.create = staticmethod(read_in_time)

app = Microdot()
_wrong = 0  # passphrases in a row


def house():
    """house.json as it is now: a passphrase that was changed holds at once."""
    try:
        with open(HOUSE) as f:
            entry = json.load(f)
    except (OSError, ValueError):
        entry = None
    return entry if isinstance(entry, dict) else {}


def is_resident(name, passphrase):
    entry = house()
    resident, stored = entry.get("resident"), entry.get("passphrase")
    if not (isinstance(resident, str) and isinstance(stored, str) and stored):
        return False
    # Both are compared, always: how long it takes tells neither.
    right = session.same(resident.encode(), name.encode())
    return session.same(stored.encode(), passphrase.encode()) and right


async def admits(name, passphrase):
    """is_resident, at a pace at which guessing is no use: 16 wrong ones in a row are free."""
    global _wrong
    if _wrong >= 16:
        await asyncio.sleep_ms(60)
    right = is_resident(name, passphrase)
    _wrong = 0 if right else _wrong + 1
    return right


def json_object(request):
    """The body, if it is a JSON object that says it is one. None otherwise; ValueError: no JSON."""
    kind = request.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        return None
    text = request.body.decode()  # UnicodeError is a ValueError
    if "\0" in text or text.count("[") + text.count("{") > 16:
        raise ValueError("nothing that a house would send")
    body = json.loads(text)
    return body if isinstance(body, dict) else None


def authorization(request, scheme):
    """What follows this scheme in the Authorization field; None where it is another or none."""
    given, _, rest = request.headers.get("Authorization", "").partition(" ")
    rest = rest.lstrip(" ")
    return rest if given.lower() == scheme and rest else None


def unauthorized(challenge):
    return "please identify yourself", 401, {"WWW-Authenticate": challenge}


def token_wanted(handler):
    async def guarded(request):
        token = authorization(request, "bearer")
        if token is None:
            return unauthorized('Bearer realm="doorbell"')
        claims = session.check(token)
        if claims is None or claims.get("sub") != house().get("resident"):
            return unauthorized('Bearer realm="doorbell", error="invalid_token"')
        return await handler(request, claims["sub"])

    return guarded


@app.before_request
async def host_wanted(request):
    if request.http_version != "1.0" and "Host" not in request.headers:
        return "no Host", 400


@app.after_request
async def keep_out_of_caches(request, response):
    response.headers["Cache-Control"] = "no-store"


app.after_error_request(keep_out_of_caches)


@app.errorhandler(405)
async def other_method(request):
    return "not so", 405, {"Allow": app.default_options_handler(request)["Allow"]}


@app.post("/v1/session")
async def open_session(request):
    try:
        body = json_object(request)
    except ValueError:
        body = None
    if body is None or set(body) != {"name", "passphrase"}:
        return {"problem": "name and passphrase, as JSON"}, 400
    name, passphrase = body["name"], body["passphrase"]
    if not isinstance(name, str) or not isinstance(passphrase, str):
        return {"problem": "name and passphrase are text"}, 400
    if not session.ready():
        return {"problem": "no key or no clock yet"}, 503, {"Retry-After": "30"}
    if not await admits(name, passphrase):
        return unauthorized('Bearer realm="doorbell"')
    return {"access_token": session.issue(name), "expires_in": session.LIFETIME}


@app.post("/v1/ring")
@token_wanted
async def ring(request, resident):
    try:
        body = json_object(request)
    except ValueError:
        return {"problem": "that is no JSON"}, 400
    if body is None or "chime" not in body:
        return {"problem": "which chime?"}, 400
    if body["chime"] not in CHIMES:
        return {"problem": "no such chime"}, 400
    return {"rung": body["chime"], "by": resident}


@app.get("/settings")
async def settings_page(request):
    pair = session.basic_pair(authorization(request, "basic") or "")
    if pair is None or not await admits(*pair):
        return unauthorized('Basic realm="Front door", charset="UTF-8"')
    return "Settings of the front door"


async def join_wlan():
    wlan = network.WLAN(network.STA_IF)
    wlan.active(True)
    while True:
        if not wlan.isconnected():
            ssid, key = house().get("wlan") or ("", "")
            if ssid:
                try:
                    wlan.connect(ssid, key)
                except OSError as error:
                    print("doorbell: WLAN:", error)
        await asyncio.sleep(5 if wlan.isconnected() else 1)


async def set_clock():
    import ntptime

    while house().get("ntp"):
        try:
            ntptime.host = house()["ntp"]
            ntptime.settime()
            await asyncio.sleep(24 * 3600)
        except OSError as error:
            print("doorbell: no time:", error)
            await asyncio.sleep(30)


async def main():
    if house().get("hostname"):
        network.hostname(house()["hostname"])  # before the network is up
    session.load_key()
    asyncio.create_task(join_wlan())
    asyncio.create_task(set_clock())
    await app.start_server(port=80)


asyncio.run(main())
