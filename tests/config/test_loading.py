"""Configuration from files and the environment, and messages about mistakes."""

import os
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from agent_core.base.errors import ConfigError
from agent_core.config import ConfigSource, config_files, explain_validation, load_config, main_file


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_later_files_and_the_environment_win(tmp_path: Path) -> None:
    main = write(
        tmp_path / "config.toml", '[server]\nport = 1\nhost = "127.0.0.2"\n[plugins]\nenabled = ["a"]'
    )
    write(tmp_path / "conf.d/10.toml", "[server]\nport = 2")
    write(tmp_path / "conf.d/20.toml", "[plugins.a]\nsize = 3")
    config = load_config(
        config_files(main), {"CAMERA_AGENT__SERVER__PORT": "4", "CAMERA_AGENT__PLUGINS__A__NAME": "x y"}
    )
    assert config.server.port == 4
    assert config.server.host == "127.0.0.2"
    assert config.plugins.enabled == ("a",)
    assert config.plugins.settings("a") == {"size": 3, "name": "x y"}


def test_single_plugins_are_switched_in_any_file(tmp_path: Path) -> None:
    main = write(
        tmp_path / "config.toml", '[plugins]\nenabled = ["a", "b"]\n[plugins.enable]\nc = true\nd = true'
    )
    write(tmp_path / "conf.d/10.toml", "[plugins.enable]\nb = false\na = true")
    write(tmp_path / "conf.d/20.toml", "[plugins.enable]\nd = false\n[plugins.c]\nsize = 3")
    plugins = load_config(config_files(main)).plugins
    assert plugins.enabled == ("a", "c")
    assert plugins.settings("c") == {"size": 3}
    switched = load_config(config_files(main), {"CAMERA_AGENT__PLUGINS__ENABLE__B": "true"}).plugins
    assert switched.enabled == ("a", "b", "c")


def test_files_of_packages_come_before_the_systems_and_only_with_it(tmp_path: Path) -> None:
    system = write(tmp_path / "etc/config.toml", '[plugins]\nenabled = ["a"]\n[server]\nport = 2')
    local = write(tmp_path / "etc/conf.d/60.toml", "[plugins.enable]\nb = false")
    vendor = write(tmp_path / "share/50-b.toml", "[plugins.enable]\nb = true\nc = true\n[server]\nport = 1")
    found = config_files(None, system=system, vendor=vendor.parent)
    assert found == (vendor, system, local)
    assert main_file(found, vendor.parent) == system
    config = load_config(found)
    assert (config.plugins.enabled, config.server.port) == (("a", "c"), 2)
    other = write(tmp_path / "other/config.toml", "")
    assert config_files(other, system=system, vendor=vendor.parent) == (other,)
    named = config_files(system, system=system, vendor=vendor.parent)
    assert named == found, "--config with the system's file is the same configuration"


def test_required_is_the_agents_key_not_the_plugins() -> None:
    config = load_config((), {"CAMERA_AGENT__PLUGINS__A__REQUIRED": "true"})
    assert config.plugins.required("a")
    assert config.plugins.settings("a") == {}


@pytest.mark.parametrize(
    ("text", "reason", "said"),
    [
        ("[server]\nprot = 1", "unknown_key", "server.prot"),
        ("[sever]\nport = 1", "unknown_key", "sever"),
        ("[server]\nport = 70000", "invalid_value", "server.port"),
        ("[server]\nport = ", "config_unreadable", "config.toml"),
        ("[plugins]\nenable = 1", "invalid_value", "plugins.enable"),
        ("[plugins.enable]\na = 3", "invalid_value", "plugins.enable.a"),
        ("[plugins]\nenabel = 1", "invalid_value", "'enabel'"),
        ("[logging]\nlevel = 'loud'", "invalid_value", "logging.level"),
        ("[recordings]\nmax_size_gb = 1e300", "invalid_value", "recordings.max_size_gb"),
        ("[snapshots]\nmax_age_days = nan", "invalid_value", "snapshots.max_age_days"),
        ("[snapshots]\nmax_age_days = 1e308", "invalid_value", "snapshots.max_age_days"),
        ("server = 8002", "invalid_value", "server: Input should be a table"),
        (
            '[plugins]\nenabled = "v4l2_tier"',
            "invalid_value",
            "plugins.enabled: Input should be a list",
        ),
        ("[server]\nstall_s = inf", "invalid_value", "server.stall_s: Input should be a finite number"),
        ("[server]\nstall_s = 1e300", "invalid_value", "server.stall_s"),
        ("[auth]\ncalls_per_s = 1e-320", "invalid_value", "auth.calls_per_s"),
        ("[server]\nstall_s = 1e-9", "invalid_value", "server.stall_s"),
        ("[auth]\ncalls_per_s = inf", "invalid_value", "auth.calls_per_s"),
        (
            "[auth]\ncalls_burst = 1" + 400 * "0",
            "config_unreadable",
            "auth.calls_burst has more than 64 bits",
        ),
        ("[plugins.x]\na = [{b = 9223372036854775808}]", "config_unreadable", "plugins.x.a.b has more"),
        ("[auth]\ncalls_burst = 1" + 5000 * "0", "config_unreadable", "a number has more than 64 bits"),
        ("[plugins.x]\na = " + 50_000 * "[", "config_unreadable", "nested deeper than 64 levels"),
        ("[plugins." + 100 * "a." + "a]", "config_unreadable", "nested deeper than 64 levels"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, reason: str, said: str) -> None:
    path = write(tmp_path / "config.toml", text)
    with pytest.raises(ConfigError) as caught:
        load_config([path])
    assert caught.value.reason == reason
    assert said in caught.value.details


def test_an_unknown_key_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config([write(tmp_path / "c.toml", "[server]\nprot = 1")])
    assert "'port'" in caught.value.suggestion


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid")
    enabled: bool = True

    @field_validator("enabled")
    @classmethod
    def is_on(cls, value: bool) -> bool:
        if not value:
            raise ValueError("it has to be on")
        return value


class Tables(BaseModel):
    tables: tuple[Table, ...] = ()


@pytest.mark.parametrize(
    ("table", "details", "suggestion"),
    [
        ({"enable": True}, "There is no configuration key 'plugins.x.tables.1.enable'.", "'enabled'"),
        ({"enabled": False}, "plugins.x.tables.1.enabled: it has to be on.", "check-config"),
    ],
)
def test_a_mistake_in_a_list_of_tables_is_told_as_well(
    table: dict[str, bool], details: str, suggestion: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Tables.model_validate({"tables": [{}, table]})
    told = explain_validation(caught.value, ("plugins", "x"), Tables)
    assert told.details == details
    assert suggestion in told.suggestion


def test_a_variable_that_cannot_be_a_value_is_text() -> None:
    texts = {"DEEP": 50_000 * "[", "LONG": 5000 * "1", "LARGE": 400 * "1", "LARGEST": "9223372036854775807"}
    config = load_config((), {f"CAMERA_AGENT__PLUGINS__A__{name}": text for name, text in texts.items()})
    expected = {name.lower(): text for name, text in texts.items()}
    assert config.plugins.settings("a") == {**expected, "largest": (1 << 63) - 1}


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config_files(tmp_path / "none.toml")
    assert caught.value.reason == "config_missing"


@pytest.mark.parametrize("kind", ["folder", "fifo"])
def test_a_main_file_that_is_something_else_is_told_as_such(tmp_path: Path, kind: str) -> None:
    main = tmp_path / "config.toml"
    (Path.mkdir if kind == "folder" else os.mkfifo)(main)
    with pytest.raises(ConfigError) as caught:
        ConfigSource(main, {}).read()
    assert caught.value.details == f"The configuration file {main} cannot be read: it is not a regular file."


@pytest.mark.parametrize("kind", ["file", "loop", "closed"])
def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path, kind: str) -> None:
    """Its values, such as a limit of retention, would be gone without a word."""
    main = write(tmp_path / "config.toml", "")
    folder = tmp_path / "conf.d"
    if kind == "file":
        folder.write_text("")
    elif kind == "loop":
        folder.symlink_to(folder)
    else:
        if os.geteuid() == 0:
            pytest.skip("root may list all folders")
        write(folder / "10.toml", "[server]\nport = 1")
        folder.chmod(0)
    with pytest.raises(ConfigError) as caught:
        ConfigSource(main, {}).read()
    if kind == "closed":
        folder.chmod(0o755)
    assert caught.value.reason == "config_unreadable"
    assert str(folder) in caught.value.details


class Networks(BaseModel):
    allowed: tuple[IPv4Network | IPv6Network, ...] = ()


def test_a_key_has_no_names_of_types() -> None:
    with pytest.raises(ValidationError) as caught:
        Networks.model_validate({"allowed": ["here"]})
    told = explain_validation(caught.value, ("plugins", "x"), Networks)
    assert told.details.startswith("plugins.x.allowed.0: ")


def test_binary_rubbish_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_bytes(b"\xff\x00")
    with pytest.raises(ConfigError):
        load_config([tmp_path / "c.toml"])
