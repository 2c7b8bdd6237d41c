"""An IP camera as many are: MJPEG over HTTP (multipart/x-mixed-replace), without timestamps; or only noise."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np


class HttpCamera:
    """Serves ``count`` pictures, ``fps`` a second, to everybody who asks; the first ``good`` of them decode."""

    def __init__(self, fps: float, count: int = 1000, good: int | None = None) -> None:
        jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
        noise = np.random.default_rng(0).bytes(len(jpeg))

        class Camera(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
                self.end_headers()
                begin = time.monotonic()
                try:
                    for k in range(count):
                        time.sleep(max(0.0, begin + k / fps - time.monotonic()))
                        body = jpeg if good is None or k < good else b"\xff\xd8" + noise + b"\xff\xd9"
                        head = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(body)
                        self.wfile.write(head + body + b"\r\n")
                except OSError:
                    pass  # nobody listens any more

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/video"

    def __enter__(self) -> HttpCamera:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
