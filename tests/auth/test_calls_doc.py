"""The example of docs/mqtt-calls.md, computed again: by the agent, and by the code that the document shows."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agent_core.auth.signed_calls import (
    SignedCall,
    call_signature,
    canonical_call,
    canonical_reply,
    reply_signature,
)

TEXT = (Path(__file__).parents[2] / "docs/mqtt-calls.md").read_text()
KEY = re.findall(r"mk_[A-Za-z0-9_-]{43}", TEXT)[0]


def block(name: str) -> str:
    """Return the code block with this heading word."""
    (found,) = re.findall(rf"^```{re.escape(name)}\n(.*?)\n```$", TEXT, re.DOTALL | re.MULTILINE)
    return str(found)


def value(name: str) -> str:
    """Return the value in code of a row of a table."""
    (found,) = re.findall(rf"^\| {re.escape(name)} \| [^`|]*`([^`]+)` \|$", TEXT, re.MULTILINE)
    return str(found)


def example() -> SignedCall:
    signed = json.loads(block("json signed"))
    return SignedCall(
        agent=signed["agent"],
        client=signed["client"],
        key_id=signed["key"],
        request=json.loads(block("json request")),
        response_topic=value("response topic"),
        correlation=bytes.fromhex(value("correlation data")),
        issued_at=signed["issued_at"],
        expires_at=signed["expires_at"],
        nonce=signed["nonce"],
        signature=value("signature"),
    )


def test_the_agent_signs_as_the_document_says() -> None:
    call = example()
    assert canonical_call(call).decode() == block("json signed")
    assert call_signature(KEY, call) == call.signature
    assert hashlib.sha256(KEY.encode()).hexdigest()[:16] == call.key_id == value("key id")
    assert value("topic") == f"camera-agent/{call.agent}/call"
    assert call.response_topic == f"camera-agent/replies/{call.client}"


def test_the_agent_signs_replies_as_the_document_says() -> None:
    call, reply = example(), block("json reply").encode()
    covered = canonical_reply(agent=call.agent, nonce=call.nonce, correlation=call.correlation, reply=reply)
    assert covered.decode() == block("json signed reply")
    assert hashlib.sha256(reply).hexdigest() == value("`sha256`")
    assert reply_signature(
        KEY, agent=call.agent, nonce=call.nonce, correlation=call.correlation, reply=reply
    ) == value("signature of the reply")


def test_the_javascript_of_the_document_signs_alike(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node.js")
    call = example()
    (tmp_path / "call.mjs").write_text(block("js"))
    (tmp_path / "run.mjs").write_text(
        'import { signedCall } from "./call.mjs";\n'
        f"const request = {block('json request')};\n"
        f"const signed = signedCall({json.dumps(KEY)}, {{ agent: {json.dumps(call.agent)}, client: {json.dumps(call.client)}, request,"
        f" responseTopic: {json.dumps(call.response_topic)}, correlation: Buffer.from({json.dumps(call.correlation.hex())}, 'hex'),"
        f" issuedAt: new Date({json.dumps(call.issued_at)}), nonce: {json.dumps(call.nonce)} }});\n"
        "console.log(JSON.stringify(signed));\n"
    )
    ran = subprocess.run([node, "run.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True)
    signed = json.loads(ran.stdout)
    assert signed["expires_at"] == call.expires_at
    assert (signed["key"], signed["signature"]) == (call.key_id, call.signature)
