"""The page of a run, served on this machine: the run's own files and nothing else."""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import Callable
from importlib import resources
from typing import TYPE_CHECKING, Any

from retrace.configs.errors import InputError, install
from retrace.tools.viewing import corrected, live, totals
from retrace.tools.viewing.board import Board
from retrace.tools.viewing.place import Place
from retrace.tools.viewing.video import KINDS as VIDEOS
from retrace.tools.viewing.video import shown_file
from retrace.tracker.offline.edits import parse_edit

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

KINDS = {".js": "text/javascript", ".css": "text/css"}
LARGEST = 100_000  # bytes of what is sent here: an edit, or lines and zones
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FOREIGN = "this page needs the token that was printed with its address"


def page_files() -> dict[str, bytes]:
    """The files of the page by name."""
    pages = resources.files("retrace.tools.pages")
    files = [pages / "house.css", *(file for file in (pages / "run_view").iterdir() if file.is_file())]
    return {file.name: file.read_bytes() for file in files}


def free_port(host: str = "127.0.0.1", wanted: int = 0) -> int:
    """A port that nobody listens on: the wanted one, or 0: any. OSError: somebody does, or there is no such address."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was just left is free
        found.bind((host, wanted))
        return int(found.getsockname()[1])


def make_app(board: Board, hosts: list[str], token: str | None = None) -> Starlette:
    """The application.

    Args:
        board: what is shown.
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
        raise InputError(f"the page needs the extra `view`: {install('view')}") from None

    desk, one = Desk(board), "/api/{run}/{name}"
    asked = {
        "/": desk.page,
        "/static/{file}": desk.static,
        "/api/runs": desk.overall,
        "/api/people": desk.people,
        "/api/people/{tracklet:int}.jpg": desk.face,
        f"{one}/video": desk.video,
        f"{one}/live": desk.live,
        f"{one}/crop/{{frame:int}}/{{box}}.jpg": desk.crop,
        f"{one}/corrected/{{kind}}": desk.corrected,
        f"{one}/table/{{which}}.csv": desk.table,
        f"{one}/{{what}}": desk.answer,
    }
    sent = {
        "/api/people/edits": desk.edit_people,
        f"{one}/edits": desk.edit,
        f"{one}/prepare": desk.prepare,
        f"{one}/regions": desk.regions,
    }
    routes = [Route(path, _guarded(answer, token), methods=["POST"]) for path, answer in sent.items()]
    routes += [Route(path, _guarded(answer, token)) for path, answer in asked.items()]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)])


def serve(board: Board, host: str, port: int, token: str | None) -> None:
    """Serve until interrupted."""
    import uvicorn

    hosts = [host, f"[{host}]", "localhost"] if host in ("127.0.0.1", "::1", "localhost") else ["*"]
    app = make_app(board, hosts, token)
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=1)


Answer = Callable[["Request"], Any]


def _guarded(answer: Answer, token: str | None) -> Answer:
    """``answer`` for those who know the token; what the user got wrong is a line of text with status 400."""

    async def asked(request: Request) -> Any:
        from starlette.responses import PlainTextResponse

        shown = request.query_params.get("token")
        cookie = f"retrace-{request.url.port or 80}"  # cookies do not tell ports apart; two pages may be open
        given = shown or request.cookies.get(cookie) or ""
        if token is not None and not secrets.compare_digest(given.encode(), token.encode()):
            return PlainTextResponse(FOREIGN, 403)
        if request.headers.get("sec-fetch-site") in ("cross-site", "same-site") and request.url.path != "/":
            return PlainTextResponse("only this page may ask", 403)  # a foreign page that points here
        if request.method == "POST" and request.headers.get("content-type") != "application/json":
            # a form of a foreign page cannot send it
            return PlainTextResponse("expected application/json", 415)
        try:
            answered = await answer(request)
        except InputError as error:
            return PlainTextResponse(str(error), 400)
        if token is not None and shown:
            answered.set_cookie(cookie, token, httponly=True, samesite="strict")
        return answered

    return asked


class Desk:
    """What each address does."""

    def __init__(self, board: Board) -> None:
        self.board, self._files = board, page_files()

    def place(self, request: Request) -> Place:
        return self.board.runs.place(request.path_params["run"], request.path_params["name"])

    async def page(self, request: Request) -> Response:
        from starlette.responses import HTMLResponse

        return HTMLResponse(self._files["index.html"], headers={"Content-Security-Policy": POLICY})

    async def static(self, request: Request) -> Response:
        from starlette.responses import PlainTextResponse, Response

        name = request.path_params["file"]
        kind = next((kind for ending, kind in KINDS.items() if name.endswith(ending)), None)
        if kind is None or name not in self._files:
            return PlainTextResponse("not found", 404)
        return Response(self._files[name], media_type=kind, headers={"Cache-Control": "no-cache"})

    async def overall(self, request: Request) -> Response:
        return await _told(self.board.overall)

    async def answer(self, request: Request) -> Response:
        place, what = self.place(request), request.path_params["what"]
        return await _told(self.board.answer, place, what, dict(request.query_params))

    async def people(self, request: Request) -> Response:
        from retrace.tools.viewing.people import people

        return await _told(people, self.board.memory)

    async def face(self, request: Request) -> Response:
        from retrace.tools.viewing.people import face

        return await _picture(face, self.board.memory, request.path_params["tracklet"])

    async def crop(self, request: Request) -> Response:
        parts = request.path_params["box"].split("_")
        try:
            box = tuple(max(-(2**20), min(2**20, int(part))) for part in parts)
        except ValueError:
            raise InputError("expected x1_y1_x2_y2, whole pixels") from None
        if len(box) != 4:
            raise InputError("expected x1_y1_x2_y2, whole pixels")
        return await _picture(self.board.crops, self.place(request), request.path_params["frame"], box)

    async def video(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import FileResponse, PlainTextResponse

        path = await run_in_threadpool(shown_file, self.place(request))
        if path is None:
            return PlainTextResponse("not made yet", 404)
        return FileResponse(path, media_type=VIDEOS[path.suffix.lower()])

    async def prepare(self, request: Request) -> Response:
        from starlette.responses import JSONResponse

        place = self.place(request)
        self.board.proxies.begin(place)
        return JSONResponse({"proxy": self.board.proxies.state(place)})

    async def edit(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import JSONResponse

        place, told = self.place(request), await _sent(request)
        if not isinstance(told, dict) or not isinstance(told.get("known"), int):
            raise InputError('expected {"edit": {...}, "known": how many edits}')
        raw = told.get("edit")
        if isinstance(raw, dict) and {"seen", "result"} & set(raw):
            raise InputError("`seen` and `result` of an edit are noted here")
        number = await run_in_threadpool(place.edit, parse_edit(raw), told["known"])
        return JSONResponse({"number": number})

    async def edit_people(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import JSONResponse

        from retrace.tools.viewing.people import edit

        said = await run_in_threadpool(edit, self.board.memory, await _sent(request), time.time())
        return JSONResponse({"said": said})

    async def regions(self, request: Request) -> Response:
        from starlette.responses import JSONResponse

        found = totals.save_regions(self.place(request), await _sent(request))
        return JSONResponse(found.model_dump(mode="json", exclude_none=True))

    async def corrected(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import FileResponse

        path = await run_in_threadpool(
            corrected.write_corrected, self.place(request), request.path_params["kind"]
        )
        return FileResponse(path, filename=_ascii(path.name))

    async def table(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import Response

        place, which = self.place(request), request.path_params["which"]
        text = await run_in_threadpool(totals.table_text, place, which)
        name = f'attachment; filename="{_ascii(f"{place.name}.{which}.csv")}"'
        return Response(text, media_type="text/csv", headers={"Content-Disposition": name})

    async def live(self, request: Request) -> Response:
        from starlette.responses import StreamingResponse

        return StreamingResponse(
            live.events(self.place(request)),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )


async def _told(answer: Callable[..., Any], *arguments: Any) -> Response:
    """What a function tells, off the event loop: bytes as they are, else JSON."""
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import JSONResponse, Response

    found = await run_in_threadpool(answer, *arguments)
    if isinstance(found, bytes):
        return Response(found, media_type="application/octet-stream")
    return JSONResponse(found)


async def _picture(make: Callable[..., bytes | None], *arguments: Any) -> Response:
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import PlainTextResponse, Response

    found = await run_in_threadpool(make, *arguments)
    if found is None:
        return PlainTextResponse("no picture", 404)
    return Response(found, media_type="image/jpeg")


async def _sent(request: Request) -> Any:
    """The JSON that came.

    Raises:
        InputError: too much of it, or none.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            raise InputError(f"expected at most {LARGEST:,} bytes")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise InputError("expected JSON") from None


def _ascii(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
