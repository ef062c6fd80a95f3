"""A model that no single card holds, split over several cards of one machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from advisor.sizing.many_models import Resident
from advisor.sizing.performance_data import gpu_cards
from advisor.workload import Workload

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


def cards_of_a_copy(work: Workload, held: Resident, usable_gb: Floats) -> Whole:
    """Cards that one copy of the model takes, for cards of `usable_gb` each; 0: none hold it.

    One card where it fits, or where no GPU memory was given. Else as many as hold it at the share
    of their memory that a split leaves usable (`gpu.yaml`), for formats that can be split; several
    models of an endpoint are not split.

    Layers lie on one card after the other, so a request takes as long as on a single card of that
    kind with memory for all, and the cards of a copy serve one request at a time.
    """
    needed, split = held.gpu_memory_gb, gpu_cards().split
    if needed is None:
        return np.ones(len(usable_gb), dtype=np.int64)
    fits = usable_gb >= needed
    if held.models > 1 or work.need.model.format.value not in split.formats:
        return fits.astype(np.int64)
    room = np.maximum(usable_gb * split.usable_share, 1e-9)
    return np.asarray(np.where(fits, 1, np.ceil(needed / room - 1e-9)), dtype=np.int64)
