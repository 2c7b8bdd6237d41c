"""The page of a run, served on this machine: the run's own files and nothing else."""

from __future__ import annotations

import json
import secrets
import socket
import threading
from collections.abc import Callable
from functools import partial
from importlib import resources
from typing import TYPE_CHECKING, Any

from retrace.configs.errors import InputError
from retrace.tools.viewing.run_folder import Place, RunFolder, make_proxy
from retrace.tracker.offline.edits import append_edit, parse_edit

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

STATIC = {"view.js": "text/javascript", "view.css": "text/css"}
LARGEST_EDIT = 10_000  # bytes


def page_file(name: str) -> bytes:
    """A file of the page."""
    return (resources.files("retrace.tools.pages") / "run_view" / name).read_bytes()


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind((host, 0))
        return int(found.getsockname()[1])


def make_app(run: RunFolder, hosts: list[str], token: str | None = None) -> Starlette:
    """The application.

    Args:
        run: what is shown.
        hosts: names under which it may be asked for; others are refused, so that no foreign page can read it by
            pointing its own name here.
        token: every request must carry it (``?token=`` once, then a cookie); None: whoever reaches it may look.

    Raises:
        InputError: the extra `view` is not installed.
    """
    try:
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware
        from starlette.routing import Route
    except ImportError:
        raise InputError("the page needs the extra `view`: pip install 'retrace-mot[view]'") from None

    proxies = Proxies()
    routes = [
        Route("/", partial(_page, token=token)),
        Route("/static/{name}", _static),
        Route("/api/run", _guarded(partial(_run, run=run), token)),
        Route("/api/{name}/about", _guarded(partial(_about, run=run, proxies=proxies), token)),
        Route("/api/{name}/boxes", _guarded(partial(_boxes, run=run), token)),
        Route("/api/{name}/edits", _guarded(partial(_edit, run=run), token), methods=["POST"]),
        Route("/api/{name}/corrected.txt", _guarded(partial(_corrected, run=run), token)),
        Route("/api/{name}/video", _guarded(partial(_video, run=run), token)),
        Route(
            "/api/{name}/prepare",
            _guarded(partial(_prepare, run=run, proxies=proxies), token),
            methods=["POST"],
        ),
    ]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)])


def serve(run: RunFolder, host: str, port: int, token: str | None) -> None:
    """Serve until interrupted."""
    import uvicorn

    hosts = [host, "localhost"] if host in ("127.0.0.1", "::1") else ["*"]
    uvicorn.run(make_app(run, hosts, token), host=host, port=port, log_level="warning")


class Proxies:
    """Copies for the browser, made one at a time in a thread."""

    def __init__(self) -> None:
        self._state: dict[str, str] = {}
        self._one = threading.Lock()

    def state(self, place: Place) -> str:
        """ "ready", "making", "none" or what went wrong."""
        return "ready" if place.video() is not None else self._state.get(place.name, "none")

    def begin(self, place: Place) -> None:
        if self.state(place) not in ("ready", "making"):
            self._state[place.name] = "making"
            threading.Thread(target=self._make, args=(place,), daemon=True).start()

    def _make(self, place: Place) -> None:
        try:
            with self._one:
                make_proxy(place)
            self._state.pop(place.name, None)
        except InputError as error:
            self._state[place.name] = str(error)


Answer = Callable[..., Any]


def _guarded(answer: Answer, token: str | None) -> Answer:
    """``answer`` for those who know the token; what the user got wrong is a line of text with status 400."""

    async def asked(request: Request) -> Any:
        from starlette.responses import PlainTextResponse

        given = request.cookies.get("retrace") or request.query_params.get("token") or ""
        if token is not None and not secrets.compare_digest(given, token):
            return PlainTextResponse("this page needs the token that was printed with its address", 403)
        if request.method == "POST" and request.headers.get("content-type") != "application/json":
            return PlainTextResponse(
                "expected application/json", 415
            )  # a form of a foreign page cannot send it
        try:
            return await answer(request)
        except InputError as error:
            return PlainTextResponse(str(error), 400)

    return asked


async def _page(request: Request, token: str | None) -> Response:
    from starlette.responses import HTMLResponse, PlainTextResponse

    given = request.query_params.get("token", request.cookies.get("retrace", ""))
    if token is not None and not secrets.compare_digest(given, token):
        return PlainTextResponse("this page needs the token that was printed with its address", 403)
    policy = "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'"
    answer = HTMLResponse(page_file("index.html"), headers={"Content-Security-Policy": policy})
    if token is not None:
        answer.set_cookie("retrace", token, httponly=True, samesite="strict")
    return answer


async def _static(request: Request) -> Response:
    from starlette.responses import PlainTextResponse, Response

    name = request.path_params["name"]
    if name not in STATIC:
        return PlainTextResponse("not found", 404)
    return Response(page_file(name), media_type=STATIC[name], headers={"Cache-Control": "no-cache"})


async def _run(request: Request, run: RunFolder) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse({"folder": str(run.folder), "sequences": run.names})


async def _about(request: Request, run: RunFolder, proxies: Proxies) -> Response:
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import JSONResponse

    place = run.place(request.path_params["name"])
    return JSONResponse({**await run_in_threadpool(place.about), "proxy": proxies.state(place)})


async def _boxes(request: Request, run: RunFolder) -> Response:
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import Response

    place = run.place(request.path_params["name"])
    return Response(await run_in_threadpool(place.boxes), media_type="application/octet-stream")


async def _edit(request: Request, run: RunFolder) -> Response:
    from starlette.responses import JSONResponse, PlainTextResponse

    place = run.place(request.path_params["name"])
    body = await request.body()
    if len(body) > LARGEST_EDIT:
        return PlainTextResponse("an edit is small", 413)
    try:
        told = json.loads(body)
        edit, known = parse_edit(told["edit"]), told["known"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        return PlainTextResponse('expected {"edit": {...}, "known": how many edits}', 400)
    if not isinstance(known, int):
        return PlainTextResponse("known must be a number", 400)
    return JSONResponse({"number": append_edit(place.edits_file, edit, known)})


async def _corrected(request: Request, run: RunFolder) -> Response:
    from starlette.responses import PlainTextResponse

    from retrace.tracker.mot_file import result_text

    place = run.place(request.path_params["name"])
    return PlainTextResponse(
        result_text(place.corrected().table),
        headers={"Content-Disposition": f'attachment; filename="{_ascii(place.name)}.txt"'},
    )


async def _video(request: Request, run: RunFolder) -> Response:
    from starlette.responses import FileResponse, PlainTextResponse

    path = run.place(request.path_params["name"]).video()
    return FileResponse(path, media_type="video/mp4") if path else PlainTextResponse("not made yet", 404)


async def _prepare(request: Request, run: RunFolder, proxies: Proxies) -> Response:
    from starlette.responses import JSONResponse

    place = run.place(request.path_params["name"])
    proxies.begin(place)
    return JSONResponse({"proxy": proxies.state(place)})


def _ascii(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
