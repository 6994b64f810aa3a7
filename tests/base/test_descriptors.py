"""The limit of file descriptors: raised once, in a process of its own, since that cannot be undone."""

import resource
import sys
import textwrap
from pathlib import Path

import anyio
import pytest

LOOK = textwrap.dedent(
    """
    import resource, sys
    import anyio
    from agent_core.base import processes
    from agent_core.base.descriptors import raise_descriptor_limit

    async def main():
        raised = raise_descriptor_limit()
        assert raise_descriptor_limit() == raised
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == raised
        launcher = processes.find_launcher(sys.argv[1] or None)
        async with processes.child(["sh", "-c", "ulimit -Sn; ulimit -Hn"], launcher=launcher) as child:
            printed = b"".join([part async for part in child.stdout])
        print(raised, *printed.decode().split())

    anyio.run(main)
    """
)


@pytest.mark.parametrize("launcher", ["default", "fallback"])
@pytest.mark.parametrize(
    ("soft", "hard", "raised"), [(512, 700, 700), (700, 700, 700), (512, 100_000, 65_536)]
)
async def test_the_limit_is_raised_for_this_process_and_not_for_its_children(
    tmp_path: Path, launcher: str, soft: int, hard: int, raised: int
) -> None:
    if hard > resource.getrlimit(resource.RLIMIT_NOFILE)[1]:
        pytest.skip("the hard limit of this session is lower than this test needs")
    search_path = str(tmp_path) if launcher == "fallback" else ""
    limited = f'ulimit -Sn {soft}; ulimit -Hn {hard}; exec "$@"'
    ended = await anyio.run_process(["sh", "-c", limited, "sh", sys.executable, "-c", LOOK, search_path])
    assert ended.stdout.decode().split() == [str(raised), str(soft), str(hard)]
