"""POST /api/logout: the token that is shown, and all others of its log-in, are dead for good."""

import settings
from auth import tokens
from auth.guards import bearer, credentials
from routes.answers import not_kept

refresh = None
if settings.on("refresh"):
    from auth import refresh


def add(app):
    @app.post("/api/logout")
    @bearer
    async def logout(request):
        token = credentials(request)[1]
        claims = tokens.read(token)
        sid = claims.get("sid")
        try:
            # In this order: after a cut or an error in between, the token can ask again.
            if refresh and isinstance(sid, str):
                refresh.end(sid)
                tokens.revoked.revoke_session(sid, tokens.latest())
            else:
                tokens.revoked.revoke(claims, token)
        except OSError as error:
            print("camera: a logout cannot be kept:", error)
            return not_kept()
        return "", 204
