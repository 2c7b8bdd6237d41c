"""The process behind a window: pictures come in on standard input, each as height, width (4 bytes each) and BGR bytes.

It runs by itself, with nothing of ours: Qt ends a whole process where it finds no screen, and hangs in one that has
loaded PyAV. It says "open" once the window is there, and ends when the user closes it or nothing more comes.
"""

from __future__ import annotations

import sys

import cv2
import numpy as np

QUIT = (ord("q"), 27)  # q and Esc


def main(title: str) -> None:
    cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
    cv2.waitKey(1)
    print("open", flush=True)
    sized = False
    while len(head := sys.stdin.buffer.read(8)) == 8:
        height, width = np.frombuffer(head, "<u4").tolist()
        image = np.frombuffer(sys.stdin.buffer.read(3 * height * width), np.uint8).reshape(height, width, 3)
        if not sized:
            cv2.resizeWindow(title, width, height)
            sized = True
        cv2.imshow(title, image)
        if cv2.waitKey(1) & 0xFF in QUIT or cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) < 1:
            return


if __name__ == "__main__":
    main(sys.argv[1])
