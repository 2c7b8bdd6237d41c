"""Cameras that see one place at once: who is who by where people stand on the ground, without looks."""

from retrace.tracker.site.config import SiteConfig
from retrace.tracker.site.ground import Ground, homography
from retrace.tracker.site.learning import learn_ground
from retrace.tracker.site.linking import link
from retrace.tracker.site.sightings import Sightings

__all__ = ["Ground", "Sightings", "SiteConfig", "homography", "learn_ground", "link"]
