"""Methods about the configuration. Apart from those about the agent's state, so that each module has one noun."""

from dataclasses import dataclass

from agent_core.api.examples import configuration as examples
from agent_core.api.schema import configuration as wire
from agent_core.api.schema.params import NoParams
from agent_core.auth.roles import Role
from agent_core.base.errors import ConfigError, InvalidState
from agent_core.controller import Controller
from agent_core.rpc.table import Caller, Method

__all__ = ("configuration_methods",)


@dataclass(frozen=True, slots=True)
class _Handlers:
    """Methods about the configuration."""

    controller: Controller

    async def reload_configuration(self, params: NoParams, caller: Caller) -> wire.ReloadForm:
        try:
            found = await self.controller.reload_configuration()
        except ConfigError as error:
            raise InvalidState(
                f"{error.details} The former configuration stays in effect.",
                state="INVALID",
                allowed_states=("VALID",),
                reason=error.reason,
                suggestion=error.suggestion,
            ) from error
        return wire.ReloadForm(
            changed=list(found.changed),
            needs_restart=list(found.needs_restart),
            notes=list(found.notes),
            errors=list(found.errors),
        )


def configuration_methods(controller: Controller) -> list[Method]:
    """Return the rows of the method table."""
    do = _Handlers(controller)
    return [
        Method(
            "reload_configuration",
            Role.ADMIN,
            "Read the configuration again, apply what needs no restart, and return what became of each changed key.",
            NoParams,
            wire.ReloadForm,
            do.reload_configuration,
            errors=(InvalidState,),
            example=examples.reload_configuration,
        ),
    ]
