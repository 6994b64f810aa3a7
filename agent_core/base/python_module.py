"""Words that run a module in a Python process of its own; a module of its own because the scans, which start quickly, import it."""

import sys

__all__ = ("python_module",)

#: Runs a module as `-m` does, on the module path that the first argument lists line by line.
_LAUNCHER = (
    "import runpy,sys\n"
    "sys.path[:]=sys.argv.pop(1).split('\\n')\n"
    "runpy.run_module(sys.argv.pop(1),run_name='__main__',alter_sys=True)"
)


def python_module(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the words that run `module` with `arguments`, like `python -P -m`.

    The process finds modules where this one does, except in the folder of its script or in the working folder. An
    interpreter of its own accord would not find those of the Debian package, whose launcher changes `sys.path`.
    """
    search_path = sys.path if sys.flags.safe_path else sys.path[1:]
    folders = "\n".join(each for each in search_path if each)
    return (sys.executable, "-P", "-c", _LAUNCHER, folders, module, *arguments)
