#!/usr/bin/env python3
"""Take the pictures of docs/images: a real Airflow with a real table's DAG, seen by a real browser.

``make screenshots`` runs it. It starts PostgreSQL, the lab and Airflow as the tests on a real scheduler do, lets some days pass, and
then does what a person does: opens the forms, fills them in, starts a backfill, reads a log. Needs Debian's ``postgresql`` and
``chromium`` besides the development tools.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from demo.errors import DemoError  # noqa: E402
from tests.scheduler.postgresql import PostgreSqlError  # noqa: E402
from tests.scheduler.stage import Stage, on_stage  # noqa: E402
from tests.scheduler.world import DAY, midnights  # noqa: E402

Page = Any
"""A page of playwright, which only this script needs: it is no dependency, so its types are not to be had everywhere."""

IMAGES = ROOT / "docs" / "images"
TABLE = "orders"
_SIZE = {"width": 1280, "height": 800}
_TALL = {"width": 1280, "height": 1500}
_WIDE, _NARROW = 480, 390
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_TRANSITION_MILLISECONDS = 1200


class ScreenshotError(RuntimeError):
    """A picture could not be taken; the message is one line with the thing, the cause and a remedy."""


@contextmanager
def browser(url: str) -> Iterator[Page]:
    """Open Airflow in a headless Chromium of this machine.

    :raises ScreenshotError: playwright or Chromium is missing.
    """
    found = next((path for name in _CHROMIUM if (path := shutil.which(name))), None)
    if found is None:
        raise ScreenshotError("Chromium: it is not on PATH. Remedy: apt-get install chromium")
    try:
        sync_playwright = importlib.import_module("playwright.sync_api").sync_playwright
    except ModuleNotFoundError:
        raise ScreenshotError(
            f"playwright: it is not installed. Remedy: uv pip install --python {sys.executable} playwright"
        ) from None
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        context = chromium.new_context(
            viewport=_SIZE, color_scheme="light", timezone_id="UTC", reduced_motion="reduce", locale="en-GB"
        )
        page = context.new_page()
        page.set_default_timeout(90_000)
        page.goto(url)
        try:
            yield page
        finally:
            chromium.close()


class Album:
    """Takes the pictures of one DAG.

    :param stage: the running Airflow.
    :param page: a browser's page.
    :param folder: where the pictures go.
    """

    def __init__(self, stage: Stage, page: Page, folder: Path) -> None:
        self._stage = stage
        self._page = page
        self._folder = folder
        self._dag_id = stage.world.lake(TABLE).dag_id
        self._dag = f"{stage.airflow.url}/dags/{self._dag_id}"
        self._is_wrapped = False

    def trigger_form(self) -> None:
        """The form of a run by hand, with the DAG's parameters."""
        self._open_form()
        self._save_dialog("trigger-form")

    def backfill(self, first: datetime, last: datetime, *, take: bool = False, backwards: bool = False) -> None:
        """Fill in the backfill form and send it.

        :param first: logical date of the first run. :param last: of the last.
        :param take: keep a picture of the filled form, and one of the backfill that runs.
        """
        self._open_form()
        form = self._page.get_by_role("dialog").first
        form.get_by_text("Run this Dag for a range of dates").click()
        self._fill_moment(0, first)
        self._fill_moment(1, last)
        form.get_by_text("All Runs").click()
        form.get_by_text("Override parameters on existing runs").click()
        if backwards:
            form.get_by_text("Run Backwards").click()
        form.get_by_text("Run Parameters").click()
        form.get_by_text("will be triggered").wait_for()
        if take:
            self._save_dialog("backfill-form")
        form.get_by_role("button", name="Run Backfill").click()
        form.wait_for(state="detached")
        if take:
            self._open(f"{self._dag}/runs", wide_grid=False)
            self._page.get_by_text("Running", exact=True).first.wait_for()
            self._save("backfill-running", 860)

    def grid(self) -> None:
        """The DAG after some days, some of them done again by a backfill."""
        self._open(self._dag, wide_grid=True)
        self._save("grid", 640)

    def plan_log(self, run_id: str, name: str) -> None:
        """What the plan task of a run said last, with wrapped lines."""
        self._open(f"{self._dag}/runs/{run_id}/tasks/plan", wide_grid=False)
        self._page.get_by_text("Post Execute").wait_for()
        if not self._is_wrapped:
            self._page.keyboard.press("w")  # the browser remembers it
            self._is_wrapped = True
        for error in self._page.locator("summary", has_text="Error: ").all():
            error.click()  # folds the stack trace away, which has paths of this machine
        self._save(name, 920)

    def _open_form(self) -> None:
        self._open(self._dag, wide_grid=False)
        self._page.get_by_role("button", name="Trigger").first.click()
        self._page.get_by_role("dialog").first.wait_for()

    def _fill_moment(self, number: int, moment: datetime) -> None:
        self._page.get_by_role("dialog").first.get_by_test_id("datetime-input").nth(number).click()
        self._page.get_by_placeholder("YYYY/MM/DD").last.fill(f"{moment:%Y/%m/%d}")
        self._page.get_by_placeholder("HH:mm").last.fill(f"{moment:%H:%M}")
        self._page.keyboard.press("Enter")
        self._settle()
        self._page.keyboard.press("Escape")
        self._settle()

    def _open(self, url: str, *, wide_grid: bool) -> None:
        self._page.set_viewport_size(_SIZE)
        self._page.goto(url)
        border = self._page.locator("[role=separator]:not([aria-orientation=horizontal])").first
        border.wait_for()
        self._page.wait_for_load_state("networkidle")
        self._settle()
        box = border.bounding_box()
        if box is None:
            raise ScreenshotError(
                f"{url}: the page has no grid beside it. Remedy: look at what this Airflow shows there"
            )
        # The panel opens too narrow for its runs; its width is remembered from page to page.
        self._page.mouse.move(box["x"] + 1, box["y"] + 100)
        self._page.mouse.down()
        self._page.mouse.move(_WIDE if wide_grid else _NARROW, box["y"] + 100, steps=5)
        self._page.mouse.up()

    def _settle(self) -> None:
        self._page.wait_for_timeout(_TRANSITION_MILLISECONDS)

    def _save(self, name: str, height: int) -> None:
        """Take the page as a window of this height shows it."""
        self._page.mouse.move(0, 0)
        self._page.set_viewport_size({**_SIZE, "height": height})
        self._settle()
        self._tell(self._page.screenshot(path=self._folder / f"{name}.png", animations="disabled"), name)

    def _save_dialog(self, name: str) -> None:
        """Take an open form, all of it."""
        self._page.set_viewport_size(_TALL)
        self._settle()
        dialog = self._page.locator("[data-scope=dialog][data-part=content]").first
        self._tell(dialog.screenshot(path=self._folder / f"{name}.png", animations="disabled"), name)

    def _tell(self, picture: bytes, name: str) -> None:
        print(f"screenshots: {self._folder.name}/{name}.png, {len(picture) // 1024} KiB", flush=True)


def take_all(stage: Stage, folder: Path) -> None:
    """Let some days pass, then take the pictures, and check that what they show is so."""
    m, lake = stage.world.midnights, stage.world.lake(TABLE)
    stage.api.set_paused(lake.dag_id, paused=False)
    beyond = m[0] - DAY
    stage.wait_for_runs(lake.dag_id, [beyond, *m[:4]], timeout=400)
    with browser(stage.airflow.url) as page:
        album = Album(stage, page, folder)
        album.trigger_form()
        album.backfill(m[0], m[3], take=True)
        stage.wait_for_backfill(stage.newest_backfill(lake.dag_id))
        lake.require_equal_to_table(0, 1, 2, 3)
        album.grid()
        for day, name in ((0, "backfill-uncovered"), (2, "backfill-covered")):
            run = stage.run_of(lake.dag_id, m[day])
            assert run is not None
            album.plan_log(run["dag_run_id"], name)
        stage.wait_for_backfill(stage.api.backfill(lake.dag_id, beyond, beyond, reprocess_behavior="completed"))
        refused = stage.run_of(lake.dag_id, beyond)
        assert refused is not None
        album.plan_log(refused["dag_run_id"], "backfill-impossible")


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the pictures; the exit code is 0, or 1 after a one-line error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=IMAGES, help="where the pictures go (docs/images)")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    # The schedule begins a day before the first midnight: so far back that recovery does not reach it.
    table = {"catchup": True, "start_date": (midnights()[0] - DAY).isoformat()}
    try:
        with on_stage(ROOT / "build" / "screenshots" / "stage", {TABLE: table}) as stage:
            take_all(stage, options.output)
    except (ScreenshotError, PostgreSqlError, DemoError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
