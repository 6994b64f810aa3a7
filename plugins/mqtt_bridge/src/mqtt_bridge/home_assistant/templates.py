"""Jinja templates by which Home Assistant reads the agent's state.

A module of its own, as each template must render state that is there, that lacks a member, and that is cleared: Home Assistant then
renders it with an empty payload, for which `value_json` is undefined.
"""

from collections.abc import Mapping

__all__ = ("attributes", "if_state", "member")

_STATE = "(value_json | default({}))"


def member(path: str, *, otherwise: str = "None") -> str:
    """Return a template for the member `path` of the state, or for `otherwise` without a value: `None` means unknown."""
    return f"{{% set found = {_STATE}.{path} | default(none) %}}{{{{ '{otherwise}' if found is none else found }}}}"


def if_state(condition: str, yes: str, no: str) -> str:
    """Return a template for `yes` if the Jinja expression `condition` about `state` holds, and for `no` otherwise."""
    return f"{{% set state = {_STATE} %}}{{{{ '{yes}' if {condition} else '{no}' }}}}"


def attributes(expressions: Mapping[str, str]) -> str:
    """Return a template for a JSON object: by the name of an attribute, the value of a Jinja expression about `state`."""
    members = ", ".join(f"'{name}': {value} | default(none)" for name, value in expressions.items())
    return f"{{% set state = {_STATE} %}}{{{{ {{{members}}} | tojson }}}}"
