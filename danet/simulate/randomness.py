"""Makes random generators that follow from the seed and a name alone, whoever asks and in whatever order."""

import hashlib

import numpy as np


def generator(seed: int, name: str) -> np.random.Generator:
    """The generator of one thing: a performer, a performance, or a recording, by its name."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(int.from_bytes(digest))))


def smooth_noise(rng: np.random.Generator, frames: int, shape: tuple[int, ...], width: float) -> np.ndarray:
    """(frames, *shape): normal noise of deviation 1 that changes over about `width` frames."""
    reach = int(np.ceil(2.5 * width))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    kernel /= np.sqrt((kernel**2).sum())
    size = frames + 2 * reach
    white = rng.standard_normal((int(np.prod(shape)), size))
    spectrum = np.fft.rfft(white, axis=1) * np.fft.rfft(kernel, size)
    smooth = np.fft.irfft(spectrum, size, axis=1)[:, 2 * reach :]  # the part that the circle does not touch
    return smooth.T.reshape(frames, *shape)
