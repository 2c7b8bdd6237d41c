"""A headless Chromium for tests of pages; they skip, with a reason, where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

Browser = Callable[..., AbstractContextManager[Any]]  # window() of a driver that was started
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip


@contextmanager
def started() -> Iterator[Any]:
    """A Selenium driver: more than a second's work, so the tests of the page share one."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs a browser: Debian's packages chromium and chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        found.set_script_timeout(30)
        yield found
    finally:
        found.quit()


@contextmanager
def window(driver: Any, width: int = 1440, height: int = 1000) -> Iterator[Any]:
    """The driver as if it had just been started: afterwards the next one finds nothing of this page.

    Servers have ports of their own, so that pages share no origin; what goes beyond an origin is cleared.
    """
    from selenium.webdriver.common.actions.action_builder import ActionBuilder

    driver.set_window_size(width, height)
    driver.get_log("browser")
    home = driver.current_window_handle
    try:
        yield driver
    finally:
        for handle in driver.window_handles:
            if handle != home:
                driver.switch_to.window(handle)
                driver.close()
        driver.switch_to.window(home)
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        driver.get("about:blank")
        hand = ActionBuilder(driver)
        hand.pointer_action.move_to_location(0, 0)  # over nothing
        hand.perform()
        hand.clear_actions()  # no key is held down
        driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"})
        driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
