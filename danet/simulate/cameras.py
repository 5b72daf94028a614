"""Moves joints from the axes of the room to those of a camera, and projects them to its pixels.

Joints are (..., 25, 3) in metres. Camera axes: x to the camera's left (what a person who faces it calls their right),
y up, z away from the lens.
"""

from dataclasses import dataclass

import numpy as np

AIM_HEIGHT = 0.9  # metres above the floor: where the middle of the picture lies at the camera's distance


@dataclass(frozen=True)
class Camera:
    """A camera that stands around the origin of the floor and looks at the middle of a person there.

    At an azimuth of 0 it stands on +z, at 90 on +x. An array of azimuths, one per frame, is a camera that moves.
    """

    azimuth_degrees: float | np.ndarray
    distance: float
    height: float

    def see(self, joints: np.ndarray) -> np.ndarray:
        """(T, ..., 3) in the room to (T, ..., 3) in camera axes, exact."""
        azimuth = np.radians(np.broadcast_to(self.azimuth_degrees, len(joints)))
        pitch = np.arctan2(self.height - AIM_HEIGHT, self.distance)
        outward = np.stack([np.sin(azimuth), np.zeros_like(azimuth), np.cos(azimuth)], axis=1)  # (T, 3)
        left = np.stack([-np.cos(azimuth), np.zeros_like(azimuth), np.sin(azimuth)], axis=1)
        up = np.array([0.0, 1.0, 0.0])
        axes = np.stack(
            [left, np.cos(pitch) * up - np.sin(pitch) * outward, -np.cos(pitch) * outward - np.sin(pitch) * up], axis=1
        )  # (T, 3 camera axes, 3)
        stand = self.distance * outward + self.height * up
        flat = joints.reshape(len(joints), -1, 3) - stand[:, None]
        return (flat @ axes.transpose(0, 2, 1)).reshape(joints.shape)


@dataclass(frozen=True)
class Lens:
    """A pinhole: focal length and middle of the picture in pixels, and its distance from the depth lens in metres."""

    focal_pixels: float
    middle_pixels: tuple[float, float]
    beside: float = 0.0


DEPTH = Lens(366.0, (256.0, 212.0))  # 512 x 424
COLOUR = Lens(1060.0, (960.0, 540.0), beside=0.052)  # 1920 x 1080


def pixels(seen: np.ndarray, lens: Lens) -> np.ndarray:
    """(..., 3) in camera axes to (..., 2) pixels, column and row; the column grows with x, as in Kinect's pictures."""
    across = (seen[..., 0] + lens.beside) / seen[..., 2]
    rise = seen[..., 1] / seen[..., 2]
    middle = np.array(lens.middle_pixels)
    return middle + lens.focal_pixels * np.stack([across, -rise], axis=-1)


# (height, distance) in metres: of the order of those that NTU RGB+D's setups use.
SETUPS = ((1.7, 3.5), (1.4, 2.8), (1.2, 3.0), (2.0, 3.0), (1.0, 3.6), (2.2, 3.4), (1.6, 2.7), (1.8, 4.0))
CAMERA_AZIMUTHS = {1: 0.0, 2: -45.0, 3: 45.0}  # degrees
FACED_CAMERA = {1: 2, 2: 3}  # by replication, as in NTU: camera 1 always sees 45 degrees, 2 and 3 front and side


def ntu_camera(setup: int, camera: int) -> Camera:
    """Camera 1, 2 or 3 of a setup, counted from 1; setups beyond the table repeat it."""
    height, distance = SETUPS[(setup - 1) % len(SETUPS)]
    return Camera(CAMERA_AZIMUTHS[camera], distance, height)


def ntu_heading_degrees(replication: int) -> float:
    """Where a performer faces: camera 2 the first time, camera 3 the second."""
    return CAMERA_AZIMUTHS[FACED_CAMERA[replication]]
