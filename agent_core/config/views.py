"""Section of live views. Apart from the other sections, which fill a file."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from agent_core.config.hot import HOT

__all__ = ("ViewsConfig",)


class ViewsConfig(BaseModel):
    """Limits of live views over HTTP."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)

    max_live: Annotated[int, HOT] = Field(200, ge=0, description="live views open at once")
    max_live_per_camera: Annotated[int, HOT] = Field(
        100, ge=0, description="live views of one camera open at once"
    )
    max_live_per_address: Annotated[int, HOT] = Field(
        60,
        ge=0,
        description="live views open at once from one address, which may be that of a proxy; a browser opens at most six",
    )
