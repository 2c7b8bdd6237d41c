"""Boxes of an image, crops, or files -> appearance vectors.

ONNX files never import torch; what runs a network is in `reid.runtime`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import one_line
from retrace.configs.files import file_hash, read_image
from retrace.reid.calibration.card import KEY, Calibration, fingerprint
from retrace.reid.calibration.pairs import strangers
from retrace.reid.crops import checked_image, image_files, resize, windows_of
from retrace.reid.runtime.network import Network, Wish
from retrace.reid.runtime.open import open_network, pick_runtime
from retrace.reid.weights.shipped import locate
from retrace.reid.weights.shipped import shipped_weights as shipped_weights

if TYPE_CHECKING:
    from retrace.reid.runtime.adaptive_norm import VideoSoFar
    from retrace.reid.runtime.feed import Feed

NORMS = ("stored", "frame", "video")
UNCALIBRATED = "without its calibration, as asked"
NEVER_CALIBRATED = "no calibration to leave out"
ALIKE = 0.85  # mean cosine of strangers that no sound network has
ALIKE_FROM = 30  # pairs from which it is said
PAIRED = 64  # boxes of a frame at most of which pairs are looked at
TOGETHER = 128  # crops at most of which statistics are taken at once


class Embedder:
    """Crops of an image as unit vectors; make one with :meth:`from_weights`.

    Attributes:
        dim: D, the length of a vector.
        size: px, (H, W): what every crop is resized to.
        description: one line: which weights, on what.
        hashes: sha256 of the file of weights, by its path.
        fed: how somebody else's weights are fed and why, in words; empty where the file is ours.
        card: the protocol card of the weights (data, recipe, figures); empty where the file has none, or one that is
            damaged and was left out, as asked.
        without: that the weights' calibration was left out, in words; empty where that was not asked for.
        unseen: how many boxes so far got an all-zero row.
        strangers: cosines of people of one frame so far, boxes that overlap left out: how many pairs, their sum.
        skipped: names of the files that the latest :meth:`folder` could not read.
        callers: threads that may call it at the same time; 0: its vectors depend on the order of calls.

    Raises:
        InputError: weights, images or boxes of another kind than each method asks for.

    Example:
        >>> import numpy as np
        >>> from retrace import Embedder
        >>> embedder = Embedder.from_weights("auto", device="cpu")  # the shipped OSNet x0.25
        >>> image = np.zeros((480, 640, 3), np.uint8)  # BGR
        >>> vectors = embedder(image, np.array([[10, 20, 50, 120], [300, 100, 360, 280]]))  # xyxy, px
        >>> vectors.shape, np.linalg.norm(vectors, axis=1).round(3).tolist()
        ((2, 512), [1.0, 1.0])
        >>> embedder.calibration.map("later").probability([0.1, 0.9]) > 0.5  # one person, by how far looks are apart?
        array([ True, False])
    """

    def __init__(
        self,
        network: Network,
        weights: Path,
        batch_size: int,
        flip: bool = False,
        video: VideoSoFar | None = None,
        uncalibrated: bool = False,
    ) -> None:
        if not isinstance(batch_size, int) or batch_size < 1:
            raise InputError(f"`batch_size` must be at least 1, got {batch_size!r}")
        self._network = network
        self._weights = weights
        self.hashes = {str(weights): file_hash(weights)}
        self._batch_size = network.batch or batch_size
        self._flip = flip
        self._counting = threading.Lock()
        self.callers = network.callers if video is None else 0
        self._video = video  # None: vectors do not depend on what else is shown
        self.size = network.size
        self.card = {key: told for key, told in network.card.items() if not (uncalibrated and key == KEY)}
        self.without = ""
        self.unseen = 0
        self.strangers = (0, 0.0)
        self.skipped: list[str] = []
        self.dim = 0  # not known before the first run
        # A network that does not run fails here, not in a video; on two crops, since a file may say that it
        # takes any number and have one baked in.
        self.dim = self._vectors(np.zeros((network.batch or 2, *network.size, 3), np.uint8)).shape[1]
        self.reset()
        height, width = network.size
        self.description = f"{weights.name}, {height}x{width} -> {self.dim}, {network.place}"
        self.fed = network.fed
        if self.fed:
            self.description += f"; {self.fed}"
        if uncalibrated:
            self.without = UNCALIBRATED if KEY in network.card else NEVER_CALIBRATED
            self.description += f"; {self.without}"

    @classmethod
    def from_weights(
        cls,
        path_or_name: str | Path,
        device: str = "auto",
        *,
        runtime: str = "auto",
        model: str | None = None,
        batch_size: int = 16,
        threads: int | None = None,
        size: tuple[int, int] | None = None,
        precision: str = "f32",
        flip: bool = False,
        norm: str = "stored",
        input: str | Mapping[str, Any] | Feed | None = None,  # noqa: A002  # the word that users know
        uncalibrated: bool = False,
    ) -> Embedder:
        """Load weights.

        Args:
            path_or_name: an ONNX file, an OpenVINO IR (.xml), our .safetensors, TorchScript (.torchscript), a
                torchreid checkpoint (.pth, .pt, .pth.tar), the name of weights that the project ships, or
                "auto", "fast" (smaller crops) or "strong": those that the project ships.
            device: "auto" (a GPU if the runtime can use one), "cpu", "cuda" or "cuda:N".
            runtime: "torch", "onnxruntime", "tensorrt" (ONNX Runtime's provider) or "openvino"; "auto": what the file's
                ending calls for, for ONNX onnxruntime.
            model: the network's name, for a torchreid checkpoint whose file name does not contain it.
            batch_size: crops at a time, where the file does not fix it; more than 16 is slower on a CPU and
                holds more memory (OSNet x0.25: 457 crops/s and 127 MB at 16, 409 and 625 at 128).
            threads: CPU threads for one run; None: the runtime's default.
            size: (height, width) px of a crop; None: as the file says, else 256 x 128.
            precision: "f32"; "bf16" or "f16" compute in that type, with the runtimes torch and openvino.
            flip: each vector is the mean of those of the crop and of its mirror image: twice the work.
            norm: what BatchNorm layers normalise by. "stored": the statistics of the training data. "frame":
                those of the crops of one call (GHOST); calls of fewer than 8 crops are filled up with the
                stored ones, so one crop is 7/8 stored. "video": those of all calls since :meth:`reset`, the
                stored ones counting for 16 crops. The last two need torch, run up to 128 crops together
                whatever ``batch_size`` says, and make a vector depend on what is shown with it, or before.
            input: how crops become numbers, for weights that are not ours: "imagenet", "unit" (RGB 0..1), "raw"
                (RGB 0..255), with ``colour=bgr``, ``range=255``, ``mean=``, ``std=``, ``layout=nhwc`` after it
                (see `reid.runtime.feed.settle`). None: as the file says, else guessed from its first operations
                and metadata; the description tells what was guessed.
            uncalibrated: leave out what the card says of distances, which may be damaged, not readable or of other
                weights: ``calibration`` is None then. The network is read as strictly as ever.

        Raises:
            InputError: no such weights, a file that is damaged, not an image -> vector network or does not fit the
                network, a size that the file does not take, a device or runtime that is not there.
        """
        path = find_weights(path_or_name, norm)
        wish = Wish(str(device), model, threads, size, precision, input, uncalibrated)
        network = open_network(path, runtime, wish)
        if norm == "stored":
            return cls(network, path, batch_size, flip, uncalibrated=uncalibrated)
        from retrace.reid.runtime.adaptive_norm import adapt

        network, video = adapt(network, norm)
        return cls(network, path, batch_size, flip, video, uncalibrated)

    @property
    def calibration(self) -> Calibration | None:
        """What distances of these weights mean, from their card; None: they do not say.

        Raises:
            InputError: a calibration that cannot be read, or one of other weights.
        """
        if KEY not in self.card:
            return None
        found = Calibration.from_card(self.card[KEY], self._weights)
        found.belongs_to(fingerprint(self.crops, self.size), self._weights)
        return found

    @property
    def alarm(self) -> str | None:
        """One line where strangers look so alike that the input must be wrong; None: they do not, or too few came.

        People of one frame are different people. Vectors of a sound network have mean cosines of about 0 to 0.5
        between them; a network that is fed otherwise than it was trained answers 0.9 to everybody.

        Example:
            >>> import numpy as np
            >>> from retrace import Embedder
            >>> embedder = Embedder.from_weights("osnet.onnx", device="cpu")  # one that sees the mean colour only
            >>> places = np.array([[60 * k, 0, 60 * k + 40, 100] for k in range(10)])  # xyxy, px
            >>> _ = embedder(np.random.default_rng(0).integers(0, 256, (100, 600, 3), np.uint8), places)
            >>> embedder.alarm.partition(" (mean")[0]
            'osnet.onnx: different people of one frame look alike'
            >>> embedder.reset()  # before another video
            >>> embedder.alarm is None
            True
        """
        pairs, total = self.strangers
        if pairs < ALIKE_FROM or total / pairs < ALIKE:
            return None
        return (
            f"{self._weights.name}: different people of one frame look alike (mean cosine {total / pairs:.2f} of "
            f"{pairs:,} pairs, above {ALIKE:g}): appearance tells nobody apart. The network is probably fed otherwise "
            f"than it was trained ({self._network.feed}): say how it takes images with `input` (raw, unit, "
            "imagenet, colour=bgr, ...)"
        )

    def reset(self) -> None:
        """Forget the video so far; before another one begins."""
        self.strangers = (0, 0.0)
        if self._video is not None:
            self._video.forget()

    def state_dict(self) -> dict[str, np.ndarray]:
        """What the vectors of the next call depend on besides the weights, as plain arrays; empty: nothing. With the
        norm "video" there is something."""
        return {} if self._video is None else self._video.state_dict()

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on where :meth:`state_dict` was taken: on a CPU the same input gives the same bytes.

        Raises:
            InputError: it is of another network or norm.
        """
        if self._video is not None:
            self._video.load_state_dict(state)
        elif state:
            raise InputError("this network keeps no statistics of a video")

    def __call__(self, image: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
        """Appearance of the boxes of one image.

        Args:
            image: (H, W, 3) uint8 BGR.
            xyxy: (N, 4) px; cut to the image, then widened to whole pixels.

        Returns:
            (N, D) float32 unit rows. A box of which less than one pixel in width or height lies inside the
            image has no appearance: its row is all zero (`Detections` takes that as "not known"), and
            ``unseen`` grows by one.

        Raises:
            InputError: another kind of image, boxes that are not finite or not (N, 4), or a network that
                answers with NaN or infinity.
        """
        return self.many([image], [xyxy])[0]

    def many(self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What a call gives for each of these images and its boxes, with fewer runs of the network where images have
        few boxes: by ONNX Runtime on a CPU 16 crops at a time take two thirds of the time of 2 at a time each, and
        give the same bytes.

        Args:
            images: (H, W, 3) uint8 BGR each, of any sizes.
            boxes: (N, 4) px of each image.

        Returns:
            (N, D) float32 unit rows of each image.

        Raises:
            InputError: as a call, or not as many boxes as images.

        Example:
            >>> import numpy as np
            >>> from retrace import Embedder
            >>> embedder = Embedder.from_weights("osnet.onnx", device="cpu")
            >>> frames = [np.full((480, 640, 3), shade, np.uint8) for shade in (80, 90)]
            >>> boxes = [np.array([[10, 20, 50, 120], [300, 100, 360, 280]]), np.zeros((0, 4))]
            >>> [vectors.shape for vectors in embedder.many(frames, boxes)]  # nobody in the second
            [(2, 3), (0, 3)]
        """
        if len(images) != len(boxes):
            raise InputError(f"expected the boxes of each image: got {len(boxes)} for {len(images)} images")
        # torch and OpenVINO: the bytes may depend on what runs together
        if self.callers <= 1 and len(images) > 1:
            return [self.many([image], [xyxy])[0] for image, xyxy in zip(images, boxes, strict=True)]
        checked = [np.ascontiguousarray(checked_image(image, "image")) for image in images]
        placed = [windows_of(xyxy, image.shape[:2]) for image, xyxy in zip(checked, boxes, strict=True)]
        cut = [
            image[y1:y2, x1:x2]
            for image, (windows, seen) in zip(checked, placed, strict=True)
            for x1, y1, x2, y2 in windows[seen].tolist()
        ]
        vectors = np.zeros((len(cut), self.dim), np.float32)
        step = self._step(len(cut))
        for start in range(0, len(cut), step):
            vectors[start : start + step] = self._features(resize(cut[start : start + step], self.size))
        found, start = [], 0
        for windows, seen in placed:
            features = np.zeros((len(windows), self.dim), np.float32)
            features[seen] = vectors[start : start + int(seen.sum())]
            start += int(seen.sum())
            found.append(features)
            self._count(features, windows, seen)
        return found

    def _count(self, features: np.ndarray, windows: np.ndarray, seen: np.ndarray) -> None:
        rows = np.flatnonzero(seen)[:PAIRED]
        cosines = strangers(features[rows], windows[rows])
        with self._counting:
            self.unseen += int((~seen).sum())
            self.strangers = (self.strangers[0] + len(cosines), self.strangers[1] + float(cosines.sum()))

    def crops(self, crops: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        """Appearance of crops that are already cut.

        Args:
            crops: (N, H, W, 3) uint8 BGR, or N images (h, w, 3) uint8 BGR of any sizes; resized where they are
                not of the network's size. A memory-mapped array is read a batch at a time.

        Returns:
            (N, D) float32 unit rows.

        Raises:
            InputError: another kind of image, or one without pixels, the message says which; or a network that answers
                with NaN or infinity.

        Example:
            >>> import cv2
            >>> from retrace import Embedder
            >>> embedder, photo = Embedder.from_weights("osnet.onnx", device="cpu"), cv2.imread("photo.jpg")
            >>> embedder.crops([photo, photo[:64, :32]]).shape  # of two sizes
            (2, 3)
        """
        features = np.zeros((len(crops), self.dim), np.float32)
        ready = (
            isinstance(crops, np.ndarray) and crops.shape[1:] == (*self.size, 3) and crops.dtype == np.uint8
        )
        step = self._step(len(crops))
        for start in range(0, len(crops), step):
            chunk = crops[start : start + step]
            if not ready:
                images = [checked_image(image, f"crop {start + k}") for k, image in enumerate(chunk)]
                chunk = resize(images, self.size)
            features[start : start + len(chunk)] = self._features(np.asarray(chunk))
        return features

    def image(self, image: np.ndarray) -> np.ndarray:
        """Appearance of one whole image, (H, W, 3) uint8 BGR -> (D,) float32 of length 1.

        Raises:
            InputError: another kind of image, or a network that answers with NaN or infinity.

        Example:
            >>> import cv2
            >>> from retrace import Embedder
            >>> embedder, photo = Embedder.from_weights("osnet.onnx", device="cpu"), cv2.imread("photo.jpg")
            >>> looks, mirrored = embedder.image(photo), embedder.image(photo[:, ::-1])
            >>> looks.shape, round(float(looks @ mirrored), 3)  # cosine
            ((3,), 1.0)
        """
        return self.crops([image])[0]

    def folder(self, path: str | Path, *, strict: bool = False) -> tuple[list[str], np.ndarray]:
        """Appearance of every image file of a folder, each taken as one crop.

        Args:
            path: its sub-folders are not looked into.
            strict: a file that cannot be read is an error; else it is left out and named in ``skipped``.

        Returns:
            N file names, sorted, and (N, D) float32 unit rows.

        Raises:
            InputError: no such folder, no readable image in it, or, if ``strict``, one that is not.

        Example:
            >>> from retrace import Embedder
            >>> embedder = Embedder.from_weights("osnet.onnx", device="cpu")
            >>> names, vectors = embedder.folder("Market-1501/query")
            >>> len(names), vectors.shape, embedder.skipped
            (48, (48, 3), [])
        """
        files = image_files(Path(path))
        names, parts = [], [np.zeros((0, self.dim), np.float32)]
        self.skipped = []
        for start in range(0, len(files), self._batch_size):
            images = []
            for file in files[start : start + self._batch_size]:
                image = read_image(file)
                if image is None and strict:
                    raise InputError(f"{file}: not readable as an image; remove it, or leave strict off")
                if image is None:
                    self.skipped.append(file.name)
                else:
                    images.append(image)
                    names.append(file.name)
            parts.append(self.crops(images))
        if not names:
            raise InputError(f"{path}: none of its {len(files)} image files is readable")
        return names, np.concatenate(parts)

    def _step(self, count: int) -> int:
        """Crops at a time; where they are each other's statistics all of them, else parts of equal size."""
        if self._video is None:
            return self._batch_size
        parts = max(1, -(-count // TOGETHER))
        return max(1, -(-count // parts))

    def _features(self, crops: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) uint8 BGR of the network's size -> (B, D) float32 unit rows."""
        vectors = self._vectors(crops)
        return _unit(vectors + self._vectors(crops[:, :, ::-1])) if self._flip else vectors

    def _vectors(self, crops: np.ndarray) -> np.ndarray:
        """As `_features`, in one run and never mirrored."""
        real, batch = len(crops), self._network.batch
        if batch is not None and real < batch:  # a fixed batch is filled with black
            crops = np.concatenate([crops, np.zeros((batch - real, *crops.shape[1:]), np.uint8)])
        try:
            raw = np.asarray(self._network.run(crops))
            if raw.ndim > 2 and raw.size == raw.shape[0] * raw.shape[1]:  # (B, D, 1, 1), as Youtu's
                raw = raw.reshape(raw.shape[:2])
        except Exception as error:  # onnxruntime and torch raise kinds of their own
            raise InputError(
                f"{self._weights}: does not run on {self._network.size} crops: {one_line(error)}"
            ) from None
        if raw.ndim != 2 or len(raw) != len(crops) or (self.dim and raw.shape[1] != self.dim):
            raise InputError(
                f"{self._weights}: expected one vector a crop, got {raw.shape} for {len(crops)} crops"
            )
        raw = raw[:real].astype(np.float32)
        if not np.isfinite(raw).all():
            raise InputError(
                f"{self._weights}: the network answered with NaN or infinity; its weights are broken"
            )
        return _unit(raw)


def find_weights(path_or_name: str | Path, norm: str = "stored") -> Path:
    """The file of a path, of a shipped name, or of "auto"; for a norm that needs torch one that torch reads.

    Raises:
        InputError: there is none; the message names the nearest.
    """
    if norm not in NORMS:
        raise InputError(f"norm must be one of {', '.join(NORMS)}, got {norm!r}")
    path = locate(path_or_name)
    if norm == "stored":
        return path
    if path != Path(path_or_name):  # a name: the same network lies beside it
        path = path.with_suffix(".safetensors")
    if pick_runtime(path) != "torch":
        beside = [path.with_suffix(ending) for ending in (".safetensors", ".pth")]
        found = next(
            (str(file) for file in beside if file.is_file()), "the .safetensors or .pth it was made from"
        )
        raise InputError(f"{path}: norm {norm!r} needs weights for torch; give {found}")
    return path


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1; a zero row stays zero."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
