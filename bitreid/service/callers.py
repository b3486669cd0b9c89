"""Who calls: dependencies of the routes."""

from typing import Annotated

from fastapi import Depends, Request

from bitreid.service.entrance import caller_of
from bitreid.service.keys import SCOPES, Scope
from bitreid.service.problems import Problem
from bitreid.service.seams import Caller


def check_scope(caller: Caller, scope: Scope) -> None:
    """Check that a caller may do what a scope allows; else a `Problem` (403)."""
    if scope not in caller.scopes:
        raise Problem(
            403, "forbidden", f"expected a key with the scope {scope}, got one with {caller.scope}; use another"
        )


def _of(scope: Scope) -> object:
    async def checked(request: Request) -> Caller:
        caller = caller_of(request)
        check_scope(caller, scope)
        return caller

    return Depends(checked)


Searcher = Annotated[Caller, _of(SCOPES[0])]
"""A caller who may search."""
Writer = Annotated[Caller, _of(SCOPES[1])]
"""A caller who may add and delete."""
