"""GET /api/me: who asks. GET /api/users: who may come in, for an admin."""

import settings
from auth import accounts
from auth.guards import client
from auth.roles import admin, role_of


def add(app):
    @app.get("/api/me")
    @client
    async def me(request):
        return {"user": request.g.current_user, "role": role_of(request)}

    if settings.on("users"):

        @app.get("/api/users")
        @admin
        async def users(request):
            roles = {entry["name"]: entry["role"] for entry in accounts.users()}
            roles[settings.get("user")] = settings.role(settings.get("user"))
            return {"users": roles}
