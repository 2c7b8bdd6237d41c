"""Frame -> Detections: `open_detector(name_or_file)`, and boxes from files."""

from retrace.tracker.detection.boxes_file import Detector, open_detections
from retrace.tracker.detection.open import open_detector

__all__ = ["Detector", "open_detections", "open_detector"]
