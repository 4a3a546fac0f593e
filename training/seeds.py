"""Random numbers of a training: one generator per purpose and epoch.

Whatever is drawn in an epoch depends only on the seed, the purpose and the epoch, so that a training
resumed at an epoch's end continues bit for bit without any generator's state.
"""

__all__ = ["generator", "renew"]

import numpy as np

STREAMS = (
    "weights",
    "devices",
    "order",
    "programming",
    "reading",
    "testing",
    "closed loop",
    "audit",
    "rule",
    "dropout",
    "validating",
    "studying",
)


def generator(seed: int, stream: str, epoch: int = 0) -> np.random.Generator:
    """Return the generator of one of the ``STREAMS``; epochs count from 1, 0 is before training.

    Parameters
    ----------
    seed
        Seed of every random draw.
    stream
        Purpose of the draws, one number each.
    epoch
        The epoch, counted from 1.
    """
    return np.random.default_rng([seed, STREAMS.index(stream), epoch])


def renew(rng: np.random.Generator, seed: int, stream: str, epoch: int) -> None:
    """Let ``rng``, which others hold too, go on as the generator of that purpose and epoch.

    Parameters
    ----------
    rng
        What random numbers are drawn from.
    seed
        Seed of every random draw.
    stream
        Purpose of the draws, one number each.
    epoch
        The epoch, counted from 1.
    """
    rng.bit_generator.state = generator(seed, stream, epoch).bit_generator.state
