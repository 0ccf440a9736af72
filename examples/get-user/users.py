"""The module ``models`` of the article, which shows only how it is used: users in memory."""

from __future__ import annotations

from dataclasses import dataclass


class DoesNotExist(Exception):
    """No such user."""


class PasswordDoesNotMatch(Exception):
    """It is not this user's password."""


@dataclass
class User:
    id: int
    email: str
    password: str
    is_admin: bool = False

    def __str__(self) -> str:
        return f"User id={self.id}: <{self.email}, is_admin={self.is_admin}>"


class Users:
    def __init__(self) -> None:
        self._all: list[User] = []

    def create(self, email: str, password: str) -> None:
        self._all.append(User(len(self._all) + 1, email, password))

    def get(self, **field: object) -> User:
        """By ``id`` or ``email``."""
        for user in self._all:
            if all(getattr(user, name) == value for name, value in field.items()):
                return user
        raise DoesNotExist
