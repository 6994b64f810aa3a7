"""Whom a token or an API key stands for, and how long: the options that make one."""

import argparse

from agent_core.cli.options import number

__all__ = ("ROLES", "add_lifetime", "add_role", "user_name")

ROLES = ("viewer", "operator", "admin")
_LONGEST_S = 10 * 366 * 86_400


def user_name(text: str) -> str:
    """An argument's type: the name of a user."""
    if not 0 < len(text) <= 200 or not text.isprintable():
        raise argparse.ArgumentTypeError("a user's name has 1 to 200 printable characters")
    return text


def add_role(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--role", required=True, choices=ROLES, help="what its bearer may do")


def add_lifetime(parser: argparse.ArgumentParser, default: str) -> None:
    """`default` says how long it is valid without the option, which then is None."""
    parser.add_argument("--lifetime-s", type=number(int, 1, _LONGEST_S), help=f"seconds; default: {default}")
