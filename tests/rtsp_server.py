"""A very small RTSP server on loopback, for tests: H.264 in MPEG-TS in RTP, interleaved over TCP (RFC 2326, 2250).

It serves a given number of connections, one after the other, and ends by itself after ``lifetime`` seconds.
"""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import threading
import time
from types import TracebackType

import av
import numpy as np

TS_PACKET = 188
SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 33\r\na=control:track1\r\n"
)


def transport_stream(frames: int, fps: int = 25, size: tuple[int, int] = (96, 128)) -> bytes:
    """MPEG-TS bytes of grey frames that grow brighter, a key frame every fifth."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpegts") as out:
        stream = out.add_stream("libx264", rate=fps, options={"tune": "zerolatency", "g": "5"})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        for index in range(frames):
            image = np.full((*size, 3), 40 + index % 100, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        out.mux(stream.encode())
    return buffer.getvalue()


class RtspServer:
    """``with RtspServer(data, connections=2) as server: open(server.url)``.

    Each connection is sent all of ``data``, with ``pace`` seconds between RTP packets, and is then dropped.
    With ``answer=False`` a client is accepted and never answered.
    """

    def __init__(
        self, data: bytes, connections: int, pace: float = 0.0, lifetime: float = 20.0, answer: bool = True
    ) -> None:
        self.served = 0
        self._data, self._connections, self._pace, self._answer = data, connections, pace, answer
        self._deadline = time.monotonic() + lifetime
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self.url = f"rtsp://user:s3cr3t@127.0.0.1:{self._socket.getsockname()[1]}/cam/1?token=s3cr3t"
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> RtspServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join(timeout=5)
        self._socket.close()

    def _alive(self) -> bool:
        return not self._closing.is_set() and time.monotonic() < self._deadline

    def _serve(self) -> None:
        while self.served < self._connections and self._alive():
            try:
                client, _ = self._socket.accept()
            except TimeoutError:
                continue
            self.served += 1
            with client:
                client.settimeout(2.0)
                with contextlib.suppress(OSError):  # the client has gone
                    self._talk(client)
        self._socket.close()

    def _talk(self, client: socket.socket) -> None:
        if not self._answer:
            while self._alive():
                time.sleep(0.05)
            return
        while self._alive():
            request = _request(client)
            if request is None:
                return
            method, address, sequence = request
            headers = {
                "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n",
                "DESCRIBE": f"Content-Base: {address}/\r\nContent-Type: application/sdp\r\n"
                f"Content-Length: {len(SDP)}\r\n",
                "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n",
                "PLAY": "Session: 1\r\n",
            }.get(method, "")
            body = SDP if method == "DESCRIBE" else ""
            client.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\n{headers}\r\n{body}".encode())
            if method == "PLAY":
                self._play(client)
            if method in ("PLAY", "TEARDOWN"):
                return

    def _play(self, client: socket.socket) -> None:
        step = 7 * TS_PACKET
        for number, at in enumerate(range(0, len(self._data), step)):
            if not self._alive():
                return
            payload = self._data[at : at + step]
            rtp = struct.pack(">BBHII", 0x80, 33, number & 0xFFFF, number * 3600, 1) + payload
            client.sendall(b"$\0" + struct.pack(">H", len(rtp)) + rtp)
            if self._pace:
                time.sleep(self._pace)


def _request(client: socket.socket) -> tuple[str, str, str] | None:
    """Method, address and CSeq of the next request; None at the end."""
    text = b""
    while b"\r\n\r\n" not in text:
        more = client.recv(4096)
        if not more:
            return None
        text += more
    lines = text.decode().split("\r\n")
    method, address, _ = lines[0].split(" ")
    sequence = next(line.split(":")[1].strip() for line in lines if line.lower().startswith("cseq:"))
    return method, address, sequence
