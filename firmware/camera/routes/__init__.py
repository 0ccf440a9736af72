"""The routes of what settings.json switches on. What is off is not imported, and takes no memory."""

import settings


def add(app):
    if settings.on("refresh"):
        from routes import refresh

        refresh.add(app)
    if settings.on("logout"):
        from routes import logout

        logout.add(app)
    if settings.on("users") or settings.on("api_keys"):
        from routes import users

        users.add(app)
    if settings.on("device"):
        from routes import device

        device.add(app)
