"""Who sends a request, and what they may do."""

from dataclasses import dataclass

from bitreid.service.keys import SCOPES, Scope


@dataclass(frozen=True)
class Caller:
    """Who sent a request: the name of their key, which the audit tells, and the most that they may do."""

    name: str
    scope: Scope

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """All that they may do."""
        return SCOPES[: SCOPES.index(self.scope) + 1]


OPEN = Caller("", "admin")
"""Whoever calls a service without keys, which only this machine can reach."""
