"""Rules between the options of a path, with MediaMTX's error texts."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from embedded_server.config.defaults import COMMANDS
from embedded_server.config.gotext import ConfigRefused, Json, parse_duration
from embedded_server.config.names import ALL_OTHERS, check_name, is_pattern

__all__ = ("refuse_commands", "validate_paths")

_DAY_NS = 86_400 * 10**9
_WITH_HOST = re.compile(
    r"(rtsps?(\+https?|\+ws)?|rtmps?|https?|udp(\+mpegts|\+rtp)?|unix\+(mpegts|rtp)|srt|wheps?|moqt)://"
)
_TIME_FIELDS = ("%Y", "%m", "%d", "%H", "%M", "%S")
_ALIASES = "all_others, all and '~^.*$' are aliases"


def refuse_commands(options: Mapping[str, Json], current: Mapping[str, Json]) -> None:
    """Refuse options that set a command; repeating or removing one of `current` is allowed.

    Commands run as the agent's account, and a password for the API must not give access to that account.

    Raises:
        ConfigRefused: `options` set a new command.
    """
    for key in sorted(COMMANDS & options.keys()):
        if options[key] not in ("", current.get(key, "")):
            raise ConfigRefused(f"'{key}' can be set by the agent only")


def validate_paths(paths: Mapping[str, Mapping[str, Json]]) -> None:
    """Check all paths in the order of their names.

    Args:
        paths: effective options by name.

    Raises:
        ConfigRefused: a path breaks a rule; the message names the first one.
    """
    if sum(name in ALL_OTHERS for name in paths) > 1:
        raise ConfigRefused(_ALIASES)
    for name in sorted(paths):
        check_name(name)
        _validate(name, paths[name])


def _validate(name: str, options: Mapping[str, Json]) -> None:
    source = str(options["source"])
    _check_source(source, options)
    _check_pattern(name, source, options)
    _check_recording(options)
    if source != "publisher" and (options["runOnDemand"] or options["runOnUnDemand"]):
        raise ConfigRefused("'runOnDemand' and 'runOnUnDemand' can be used only when source is 'publisher'")


def _check_source(source: str, options: Mapping[str, Json]) -> None:
    if source == "publisher":
        if options["sourceOnDemand"]:
            raise ConfigRefused("'sourceOnDemand' is useless when source is 'publisher'")
    elif source == "redirect":
        if not options["sourceRedirect"]:
            raise ConfigRefused("source redirect must be filled")
    elif _WITH_HOST.match(source):
        _check_url(source)
    elif source != "rpiCamera":
        raise ConfigRefused(f"invalid source: '{source}'")
    if source != "redirect" and options["sourceRedirect"]:
        raise ConfigRefused("'sourceRedirect' is useless when source is not 'redirect'")


def _check_url(source: str) -> None:
    try:
        parts = urlsplit(source)
        _ = parts.port
    except ValueError:
        raise ConfigRefused(f"'{source}' is not a valid URL") from None
    if not parts.netloc:
        raise ConfigRefused(f"'{source}' is not a valid URL")
    if bool(parts.username) != bool(parts.password):
        raise ConfigRefused("username and password must be both provided")


def _check_pattern(name: str, source: str, options: Mapping[str, Json]) -> None:
    if not is_pattern(name):
        return
    subject = "a path with a regular expression (or path 'all_others')"
    if source not in ("publisher", "redirect") and not options["sourceOnDemand"]:
        raise ConfigRefused(f"{subject} and a static source must have 'sourceOnDemand' set to true")
    if options["runOnInit"]:
        raise ConfigRefused(f"{subject} does not support option 'runOnInit'; use another path")


def _check_recording(options: Mapping[str, Json]) -> None:
    record_path = str(options["recordPath"])
    if "%path" not in record_path:
        raise ConfigRefused("'recordPath' must contain %path")
    if "%s" not in record_path and not all(field in record_path for field in _TIME_FIELDS):
        raise ConfigRefused("'recordPath' must contain either %s or %Y %m %d %H %M %S")
    segment_ns = parse_duration(str(options["recordSegmentDuration"]))
    delete_after_ns = parse_duration(str(options["recordDeleteAfter"]))
    if segment_ns > _DAY_NS:
        raise ConfigRefused("maximum segment duration is 1 day")
    if 0 < delete_after_ns < segment_ns:
        raise ConfigRefused("'recordDeleteAfter' cannot be lower than 'recordSegmentDuration'")
