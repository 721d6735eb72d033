"""Debian's chromium, driven headless: its console, its requests, screenshots. Nothing but loopback can be reached."""
from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from httpd_server import SOURCE, Missing, temporary_directory, wait_until

CHROMIUM = os.environ.get("KF_CHROMIUM") or shutil.which("chromium")
DRIVER = os.environ.get("KF_CHROMEDRIVER") or shutil.which("chromedriver")
PICTURES = Path(os.environ.get("KF_BUILDDIR") or SOURCE) / "t" / "screenshots"
DESKTOP, PHONE = (1280, 900), (390, 844)
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run", "--mute-audio",
           "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
           "--disable-default-apps", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")

# Colours of every text against what lies behind it: [ratio, text, colours].
CONTRAST = """
    const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
    const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => { v /= 255;
        return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const behind = (node) => { for (let n = node; n; n = n.parentElement) {
        const c = parse(getComputedStyle(n).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode.parentElement;
        if (!walker.currentNode.nodeValue.trim() || !node.checkVisibility() || node.closest('template, .hidden, .skip')) continue;
        const a = light(parse(getComputedStyle(node).color)), b = light(behind(node));
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) found.push([ratio, walker.currentNode.nodeValue, getComputedStyle(node).color, behind(node)]);
    }
    return found;"""

# Whatever can be used and has no name that a screen reader could say.
NAMELESS = """
    return [...document.querySelectorAll('button, a, input:not([type=hidden]), [tabindex], meter, form, section, nav')]
        .filter((n) => n.checkVisibility() && !n.textContent.trim() && !n.getAttribute('aria-label') && !n.labels?.length)
        .map((n) => n.outerHTML);"""


class Browser:
    """One chromium with a profile of its own."""

    def __init__(self, *more: str) -> None:
        """With more options than OPTIONS."""
        if not CHROMIUM or not DRIVER:
            raise Missing("no chromium or no chromedriver (Debian: apt-get install chromium chromium-driver; "
                          "or set KF_CHROMIUM and KF_CHROMEDRIVER)")
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
        self._home = tempfile.mkdtemp(prefix="kf-browser-", dir=temporary_directory())
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for option in (*OPTIONS, *more, f"--user-data-dir={self._home}/profile"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        # Debian's wrapper around chromium writes into its user's home.
        service = Service(DRIVER, env={**os.environ, "HOME": self._home})
        self.driver = webdriver.Chrome(options=options, service=service)
        self.resize(DESKTOP)

    def close(self) -> None:
        self.driver.quit()
        shutil.rmtree(self._home, ignore_errors=True)

    def open(self, url: str) -> None:
        self.driver.get(url)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def text(self, selector: str) -> str:
        """What an element shows, '' where there is none."""
        return self.run("return document.querySelector(arguments[0])?.innerText || ''", selector)

    def attribute(self, selector: str, name: str) -> str:
        return self.run("return document.querySelector(arguments[0])?.getAttribute(arguments[1]) || ''", selector, name)

    def count(self, selector: str) -> int:
        """How many such elements are seen."""
        return self.run("return [...document.querySelectorAll(arguments[0])].filter((n) => n.checkVisibility()).length",
                        selector)

    def wait(self, check: Any, what: str) -> Any:
        return wait_until(check, what)

    def click(self, selector: str) -> None:
        """A click of the pointer where the element is."""
        self.wait(lambda: self.count(selector), selector)
        element = self.driver.find_element("css selector", selector)
        self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        element.click()

    def keys(self, *keys: str) -> None:
        self.driver.switch_to.active_element.send_keys(*keys)

    # Looks

    def resize(self, size: tuple[int, int], height: int | None = None) -> None:
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": size[0], "height": height or size[1], "deviceScaleFactor": 1, "mobile": size == PHONE})

    def scheme(self, name: str) -> None:
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia",
                                    {"features": [{"name": "prefers-color-scheme", "value": name}]})

    def picture(self, name: str) -> Path:
        """A screenshot of the whole page, kept in the build folder."""
        size = self.run("return [innerWidth, document.documentElement.scrollHeight]")
        phone = size[0] == PHONE[0]
        self.resize(PHONE if phone else DESKTOP, size[1])
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{name}.png"
        assert self.driver.save_screenshot(str(path)) and path.stat().st_size > 10000
        self.resize(PHONE if phone else DESKTOP)
        return path

    # What it did

    def console(self) -> list[str]:
        """Warnings and errors since the last time."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def requests(self) -> list[str]:
        """The addresses that were asked for since the last time."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
