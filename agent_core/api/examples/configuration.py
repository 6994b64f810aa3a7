"""Examples of the methods about the configuration. Apart from the methods, so that their rows stay short to read."""

from agent_core.api.schema import configuration as wire
from agent_core.api.schema.params import NoParams
from agent_core.plugin import MethodExample

__all__ = ("reload_configuration",)


def reload_configuration() -> MethodExample:
    reload = wire.ReloadForm(
        changed=["logging.level", "recordings.max_age_days"],
        needs_restart=["server.port"],
        notes=[],
        errors=[],
    )
    return MethodExample(NoParams(), reload)
