"""A headless Chromium, driven by its own protocol (DevTools): a page that opens addresses in real time."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tornado.websocket import WebSocketClientConnection, websocket_connect

FOUND = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--enable-unsafe-swiftshader",
    "--disable-features=IsolateSandboxedIframes",  # the frame of a report answers as a part of its page
    "--remote-debugging-port=0",
)
PATIENCE_SECONDS = 120.0


@dataclass
class Page:
    """A page of the browser, and what it complained of since it was opened last."""

    _socket: WebSocketClientConnection
    _loop: asyncio.AbstractEventLoop
    complaints: list[str] = field(default_factory=list)
    _number: int = 0

    def open(self, address: str, width: int = 1800, height: int = 1100) -> None:
        """Open the address as if nothing had been opened before; `shows` waits for what it shows."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.ask("Page.navigate", url="about:blank")
        self.complaints.clear()
        self.ask("Page.navigate", url=address)

    def shows(self, condition: str, in_frame: bool = False) -> Any:
        """What the expression of JavaScript gives once that is true, in the page or in its first frame."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = self._evaluated(condition, in_frame)
            if found:
                return found
            assert time.monotonic() < end, f"never true: {condition}; {self.complaints}; {self.text()[:2000]}"
            time.sleep(0.2)

    def press(self, element: str) -> None:
        """Click on the element that the expression of JavaScript gives, once it is there."""
        self.shows(f"(found => found && (found.click(), true))({element})")

    def text(self) -> str:
        return str(self._evaluated("document.body?.innerText ?? ''", False))

    def shoot(self, file: Path) -> None:
        """Write a picture of what is seen."""
        file.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to a request of the protocol."""
        return self._loop.run_until_complete(self._asked(method, params))

    def _evaluated(self, expression: str, in_frame: bool) -> Any:
        where = {}
        if in_frame:
            frames = self.ask("Page.getFrameTree")["frameTree"].get("childFrames", [])
            if not frames:
                return None
            world = self.ask("Page.createIsolatedWorld", frameId=frames[0]["frame"]["id"])
            where = {"contextId": world["executionContextId"]}
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, **where)
        return answer.get("result", {}).get("value")

    async def _asked(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        await self._socket.write_message(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            told = json.loads(await self._socket.read_message() or "{}")
            if told.get("id") == self._number:
                return dict(told.get("result", {}))
            self._note(told.get("method", ""), told.get("params", {}))

    def _note(self, method: str, told: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(told["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and told["type"] == "error":
            self.complaints.append(" ".join(str(one.get("value", one)) for one in told["args"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.complaints.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")


@contextmanager
def browsing(profile: Path) -> Iterator[Page]:
    """A page of a browser of its own, which keeps what it remembers in the folder `profile`."""
    browser = subprocess.Popen(
        [str(FOUND), *OPTIONS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    loop = asyncio.new_event_loop()
    try:
        listening = f"http://127.0.0.1:{_port(profile)}/json"
        targets = json.loads(urlopen(listening, timeout=PATIENCE_SECONDS).read())
        address = next(one["webSocketDebuggerUrl"] for one in targets if one["type"] == "page")
        connecting: Coroutine[Any, Any, WebSocketClientConnection] = _connected(address)
        page = Page(loop.run_until_complete(connecting), loop)
        for domain in ("Page", "Runtime", "Log"):
            page.ask(f"{domain}.enable")
        yield page
    finally:
        browser.terminate()
        browser.wait(timeout=60)
        loop.close()


async def _connected(address: str) -> WebSocketClientConnection:
    return await websocket_connect(address, max_message_size=1 << 28)


def _port(profile: Path) -> int:
    """The port at which the browser listens."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (profile / "DevToolsActivePort").exists():
        assert time.monotonic() < end, "Chromium did not start"
        time.sleep(0.1)
    time.sleep(0.1)
    return int((profile / "DevToolsActivePort").read_text().split()[0])
