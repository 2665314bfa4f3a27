# SPDX-License-Identifier: GPL-2.0
"""A headless Chromium for tests of a page; it speaks DevTools' protocol over a pipe."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SECONDS = 240  # after which it ends by itself, so that a test cannot hang


def beyond(descriptor: int) -> int:
    """The same open file, at 10 or more."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved


class Browser:
    """One Chromium with one tab; to be used with `with`."""

    def __enter__(self) -> Browser:
        self.profile = tempfile.mkdtemp(prefix="avic-browser.")
        # It reads descriptor 3 and writes 4: the pipes' own must be others.
        commands, answers = (tuple(map(beyond, os.pipe())) for _ in range(2))
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{commands[0]} 4>&{answers[1]}', "bash",
             "timeout", str(SECONDS), "chromium", "--headless", "--no-sandbox",
             "--disable-gpu", "--remote-debugging-pipe", "--hide-scrollbars",
             "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND",
             f"--user-data-dir={self.profile}"],
            pass_fds=(commands[0], answers[1]), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(commands[0])
        os.close(answers[1])
        self.to, self.answers = os.fdopen(commands[1], "wb"), os.fdopen(answers[0], "rb")
        self.number, self.session, self.rest = 0, "", b""
        self.events: list[dict] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()
        self.to.close()
        self.answers.close()
        shutil.rmtree(self.profile, ignore_errors=True)

    def receive(self) -> dict:
        """The next message; raises EOFError if Chromium is gone."""
        while b"\0" not in self.rest:
            got = os.read(self.answers.fileno(), 1 << 20)
            if not got:
                raise EOFError("Chromium ended: run it by hand, chromium --headless --no-sandbox")
            self.rest += got
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def ask(self, method: str, **params: object) -> dict:
        """A command's answer; events that come meanwhile are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.to.write(json.dumps(message).encode() + b"\0")
        self.to.flush()
        while (answer := self.receive()).get("id") != self.number:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def open(self, page: Path, width: int, scheme: str) -> None:
        """Load a page at a width in CSS pixels, with the colour scheme "light" or "dark"."""
        self.events.clear()
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900,
                 deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        self.ask("Emulation.setEmulatedMedia", features=media)
        self.ask("Page.navigate", url=page.resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self.receive())

    def value(self, expression: str) -> object:
        """What a JavaScript expression gives on the page, or what its promise does."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']['text']}")
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """A key of the keyboard: "Tab" or "Enter"."""
        code, text = {"Tab": (9, ""), "Enter": (13, "\r")}[key]
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, text=text if kind == "keyDown" else "",
                     windowsVirtualKeyCode=code)  # fmt: skip

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, exceptions, and requests for anything but the page."""
        found = []
        for event in self.events:
            method, params = event.get("method", ""), event.get("params", {})
            if method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
                found.append(json.dumps(params)[:300])
            if method == "Network.requestWillBeSent" and params["type"] != "Document":
                url = params["request"]["url"]
                if not url.startswith("data:"):
                    found.append(f"a request for {url}")
        return found

    def screenshot(self, into: Path, top: int = 0, height: int = 0) -> None:
        """A PNG of the page: all of it, or `height` pixels from `top` on."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": top, "width": size["width"], "height": height or size["height"], "scale": 1}
        shot = self.ask("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        into.write_bytes(base64.b64decode(shot["data"]))
