"""Networks as graphs in files."""

import torch


def is_written() -> bool:
    """Whether the network is being written to a file, as a graph in which nothing can depend on values or on the batch.

    What a graph cannot say, operators write in another form of equal value.
    """
    return torch.compiler.is_exporting() or torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
