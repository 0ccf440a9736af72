"""``hil profile``: check one, or draft one from a running server."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .errors import ConfigError

if TYPE_CHECKING:
    from .auth.learn import Learned
    from .auth.profile import Profile

profile = click.Group("profile", help="Check a profile, or draft one from a running server.")


@profile.command()
@click.argument("file", metavar="FILE|NAME")
def check(file: str) -> None:
    """Validate a profile, and tell what it promises.

    FILE is a path ending in .yaml, NAME a packaged profile, e.g. camera.
    """
    from .auth.profile import load_profile

    found = load_profile(file)
    click.echo(f"{found.name}: {found.title} ({found.source})")
    for line in _promises(found):
        click.echo(f"  {line}")
    for one in found.known:
        click.echo(f"  known deviation {one.check}: {one.reason}")


def _promises(found: Profile) -> list[str]:
    """What there is, and what there is not: those checks are skipped."""
    parts = {
        "login": found.given_login and f"{found.login.method} {found.login.path}",
        "token": found.given_token and f"{found.token.lifetime_s} s",
        "resource": found.given_resource and f"{found.resource.method} {found.resource.path}",
        "basic": found.given_basic and f"{found.basic.method} {found.basic.path}",
        "refresh": found.given_refresh and f"{found.refresh.method} {found.refresh.path}",
        "logout": found.given_logout and f"{found.logout.method} {found.logout.path}",
        "api_key": found.given_api_key and f"{found.api_key.method} {found.api_key.path}",
        "roles": found.given_roles and f"{found.roles.admin.method} {found.roles.admin.path}",
        "device": found.given_device and f"{found.device.method} {found.device.path}",
        "oidc": found.given_oidc and f"GET {found.oidc.callback}",
    }
    told = [f"{name}: {what}" for name, what in parts.items() if what]
    lacking = ", ".join(name for name, what in parts.items() if not what)
    return [*told, *([f"no {lacking}: what checks them is skipped"] if lacking else [])]


@profile.command()
@click.argument("url")
@click.option("--user", required=True, help="Who logs in.")
@click.option("--login", metavar="PATH", help="The login's route, where it is not a usual one.")
@click.option("--resource", metavar="PATH", help="A route that demands a token, likewise.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to write the draft."
)
def learn(
    url: str, user: str, login: str | None, resource: str | None, output: Path | None
) -> None:
    """Draft a profile from what the server at URL shows. A person finishes it.

    The password comes from $HIL_PASSWORD, or is asked for. It is tried in the usual ways at the
    usual routes, or at --login only; then one login with a wrong password follows.
    """
    from . import draft
    from .auth.learn import learn as ask

    if output is not None and output.exists():
        raise draft.exists(output)
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter(f"{url!r}: http://… or https://…", param_hint="URL")
    password = os.environ.get("HIL_PASSWORD") or click.prompt("Password", hide_input=True, err=True)
    found = ask(url, user, password, login=login, resource=resource)
    text = as_yaml(found, url, user)
    if output is None:
        click.echo(text, nl=False)
    else:
        draft.write(output, text, force=False)
        click.echo(f"{output}: finish it where it says TODO, then 'hil profile check {output}'")
    for what in found.tried:
        click.echo(f"not found: {what}", err=True)
    if found.login is None and found.basic is None:
        raise ConfigError(
            f"{url} lets {user!r} in nowhere",
            hint="name its routes with --login and --resource; is the password right?",
        )


def as_yaml(found: Learned, url: str, user: str) -> str:
    """The draft, with what a person must decide marked TODO."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    made = CommentedMap()
    made["title"] = found.title or url.split("://", 1)[1].rstrip("/")
    made["source"] = "TODO: the document that promises what follows"
    made["user"] = user
    if found.login:
        made["login"] = CommentedMap(found.login)
    if found.token:
        token = CommentedMap({name: value for name, value in found.token.items() if value})
        if found.token["lifetime_s"] is None:
            token["lifetime_s"] = 3600
            token.yaml_add_eol_comment("TODO: it has no exp", "lifetime_s")
        made["token"] = token
        made.yaml_set_comment_before_after_key(
            "token", "TODO: which claims are promised, and which just happen to be there?"
        )
    if found.resource:
        made["resource"] = _with_json(found.resource)
    if found.whose:
        made["whose"] = CommentedMap(found.whose)
    if found.basic:
        basic = CommentedMap({"answer": "TODO", **found.basic})
        made["basic"] = basic
    if found.refresh:
        made.yaml_set_comment_before_after_key(
            "refusals",
            f"TODO: the login gives a {found.refresh}, too. Where is it traded?\n"
            f"refresh:\n  path: /refresh\n  field: {found.refresh}",
        )
    if found.refusals:
        made["refusals"] = CommentedMap(found.refusals)
    text = io.StringIO()
    yaml = YAML()
    yaml.width = 96
    yaml.dump(made, text)
    return f"# Drafted by `hil profile learn {url}`: what it has shown, no more.\n{text.getvalue()}"


def _with_json(resource: dict[str, Any]) -> Any:
    """Bodies stand in a profile as JSON text."""
    from ruamel.yaml.comments import CommentedMap

    return CommentedMap({**resource, "answer": json.dumps(resource["answer"])})
