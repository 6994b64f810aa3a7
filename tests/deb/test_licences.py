"""Copyright files: nothing is in a package without its licence."""

import re
from pathlib import Path

import pytest

from licences import Bundled, Licences, copyright_file
from tests.deb.conftest import MakeWheel
from tests.deb.test_locks import PACKAGED

ROOT = Path(__file__).parents[2]
LICENCES = Licences.read()
CODEC = Bundled("fast", ("libcodec",), "GPL-2.0-or-later", "https://codec.example", ("2026 Codec people",))


def test_every_locked_library_has_a_licence_and_no_other() -> None:
    assert LICENCES.distributions.keys() == PACKAGED.keys()


def test_every_shared_library_of_the_installed_wheels_has_a_licence() -> None:
    """Installed here are the same versions of the wheels that the packages contain, for this machine."""
    import av
    import PIL

    for module, wheel in ((av, "av"), (PIL, "pillow")):
        (package,) = module.__path__
        found = {
            re.sub(r"(-[0-9a-f]{8})?\.so.*", "", path.name)
            for path in (Path(package).parent / f"{wheel}.libs").iterdir()
        }
        known = {name for each in LICENCES.libraries if each.wheel == wheel for name in each.files}
        assert found <= known, f"add the licence of {sorted(found - known)} to packaging/deb/licences.toml"
        assert len(found) > 10


@pytest.mark.parametrize(
    "each", [each for each in LICENCES.libraries if each.texts_in is None], ids=lambda each: each.files[0]
)
def test_a_licence_text_is_known(each: Bundled, make_wheel: MakeWheel) -> None:
    wheel = make_wheel(each.wheel, {f"{each.wheel}.libs/{each.files[0]}-01234567.so.1": b""}, licence=None)
    text = copyright_file("some-package", [wheel], [], LICENCES)
    (paragraph,) = re.findall(rf"^Files: \S+/{re.escape(each.files[0])}-\*\n(?:.+\n)+", text, re.MULTILINE)
    assert "common-licenses" in paragraph or "permitted" in paragraph or "Permission" in paragraph


def test_the_codecs_are_called_what_they_are(make_wheel: MakeWheel) -> None:
    wheel = make_wheel(
        "av", {f"av.libs/{name}-01234567.so.1": b"" for name in ("libavcodec", "libx264")}, licence=None
    )
    text = copyright_file("camera-agent-rtsp-tier", [wheel], [], LICENCES)
    assert re.search(r"libavcodec-\*\n(.+\n)+License: GPL-3\.0-or-later\n", text)
    assert "without --enable-gpl" in text
    assert re.search(
        r"Source: https://ffmpeg.org/releases/ffmpeg-[\d.]+\.tar\.xz\n SHA-256 of the source: \w{64}\n", text
    )
    assert f"Recipe of its shared libraries, with patches: {LICENCES.recipes['av'].source}\n" in text
    assert re.search(r"libx264-\*\n(.+\n)+License: GPL-2\.0-or-later\n", text)


def test_a_library_without_an_entry_stops_the_build(make_wheel: MakeWheel) -> None:
    with pytest.raises(ValueError, match="no licence of fast"):
        copyright_file("some-package", [make_wheel("fast")], [], Licences({}, ()))


def test_a_shared_library_without_an_entry_stops_the_build(make_wheel: MakeWheel) -> None:
    files = {f"fast.libs/{name}-01234567.so.1.2.3": b"" for name in ("libcodec", "libnew")}
    wheel = make_wheel("fast", files)
    with pytest.raises(ValueError, match="no licence of libnew in fast"):
        copyright_file("some-package", [wheel], [], Licences({"fast": "MIT"}, (CODEC,)))


def test_a_wheel_that_changes_its_licence_stops_the_build(make_wheel: MakeWheel) -> None:
    with pytest.raises(ValueError, match="fast is now under MIT, not BSD-3-Clause"):
        copyright_file("some-package", [make_wheel("fast")], [], Licences({"fast": "BSD-3-Clause"}, ()))


def test_a_paragraph_of_a_wheel(make_wheel: MakeWheel) -> None:
    bom = '{"components": [{"name": "crate", "version": "2", "licenses": [{"expression": "0BSD"}]}]}'
    files = {"fast.libs/libcodec-01234567.so.7": b"", "fast-1.0.dist-info/sboms/a.cyclonedx.json": bom}
    text = copyright_file(
        "some-package", [make_wheel("fast", files)], [], Licences({"fast": "MIT"}, (CODEC,))
    )
    header, wheel, library = text.split("\n\n")
    assert header.startswith("Format: ")
    assert "/usr/share/doc/some-package/README.Debian" in header
    assert "Files: usr/lib/camera-agent/site-packages/fast/*\n" in wheel
    assert "Copyright: Copyright (c) 2026 The authors of fast\nLicense: MIT\n" in wheel
    assert "\n .\n Do as you like.\n" in wheel
    assert "Linked in: crate 2 (0BSD)." in wheel
    assert "License: GPL-2.0-or-later\n On Debian systems" in library
    assert "Source: https://codec.example" in library


def test_the_licences_of_eclipse_are_found_by_their_names(make_wheel: MakeWheel) -> None:
    """paho-mqtt has them in files of their own, to which its `LICENSE.txt` only refers."""
    info = "fast-1.0.dist-info/licenses"
    wheel = make_wheel("fast", {f"{info}/edl-v10": "As you like.", f"{info}/epl-v20": "As we like."})
    text = copyright_file("some-package", [wheel], [], Licences({"fast": "MIT"}, ()))
    assert " edl-v10:\n .\n As you like.\n" in text
    assert " epl-v20:\n .\n As we like.\n" in text


def test_our_own_wheels_need_no_entry(make_wheel: MakeWheel) -> None:
    wheel = make_wheel("camera-agent", licence="Apache-2.0")
    text = copyright_file("camera-agent", [wheel], ["camera-agent"], Licences({}, ()))
    assert "License: Apache-2.0\n On Debian systems, the text of this licence is in" in text


def test_a_licence_that_debian_has_is_not_repeated(make_wheel: MakeWheel) -> None:
    whole = "Parts are under this:\n\n    Apache License\n   Version 2.0, January 2004\nmuch\nEND OF TERMS AND CONDITIONS\n"
    wheel = make_wheel("fast", {"fast-1.0.dist-info/licenses/NOTICE": whole})
    text = copyright_file("some-package", [wheel], [], Licences({"fast": "MIT"}, ()))
    assert "Parts are under this:" in text
    assert "/usr/share/common-licenses/Apache-2.0" in text
    assert "END OF TERMS" not in text
