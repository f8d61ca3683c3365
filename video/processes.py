"""One conversion by several processes: who makes which segment, and what one does while the others wait."""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import torch.distributed as dist

from utils import Process

T = TypeVar("T")
PATIENCE = timedelta(days=30)  # segments take as long as they take


class Group:
    """The processes of a run; a single one where there is no `process`. All of them must make one."""

    def __init__(self, process: Process | None = None):
        self.rank, self.size = (process.rank, process.world_size) if process else (0, 1)
        # gloo, as NCCL gives up waiting after ten minutes
        self._group = dist.new_group(backend="gloo", timeout=PATIENCE) if self.size > 1 else None

    def owns(self, segment: int) -> bool:
        """Whether this process makes a segment."""
        return segment % self.size == self.rank

    def gather(self, value: T) -> list[T]:
        """When all processes are here, return what each of them gave, in their order."""
        values = [value] * self.size
        if self._group is not None:
            dist.all_gather_object(values, value, group=self._group)
        return values

    def once(self, action: Callable[[], None]) -> None:
        """When all processes are here, the first one does it, and the others wait; its ValueError or OSError is raised
        in all."""
        if self._group is None:
            action()
            return
        dist.barrier(self._group)
        failure: list[Exception | None] = [None]
        if self.rank == 0:
            try:
                action()
            except (ValueError, OSError) as error:
                failure = [error]
        dist.broadcast_object_list(failure, src=0, group=self._group)
        if failure[0] is not None:
            raise failure[0]
