"""Devices, precision and processes, by Lightning Fabric; torchrun or Slurm starts the processes."""

from __future__ import annotations

import inspect
import os
import warnings
from typing import Any, cast

from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch.nn.parallel import DistributedDataParallel

from hsa_bench.core.devices import fault_of
from hsa_bench.core.errors import PretrainingError
from hsa_bench.core.tf32 import no_tf32
from pretrain.precision import refuse_unknown
from pretrain.settings import Precision

DEVICES = ("cpu", "cuda", "mps")


def launch_fabric(device: str, precision: Precision) -> Fabric:
    """Join the processes that torchrun or Slurm started, or be the only one; float32 is float32 then.

    Args:
        device: "cpu", "cuda", "cuda:1" or "mps"; with several processes each takes the GPU of its local rank.
        precision: A name of Fabric's, e.g. "bf16-mixed", or "tf32".

    Raises:
        PretrainingError: No such device, or it does not compute in these numbers.
    """
    no_tf32()
    kind, colon, number = device.partition(":")
    on_node, nodes = _processes()
    if kind not in DEVICES or (colon and kind != "cuda"):
        raise PretrainingError(f"device {device}: wanted is {', '.join(DEVICES)} or cuda:N")
    if fault := fault_of(device, on_node):
        raise PretrainingError(f"device {device}: {fault}")
    refuse_unknown(precision, device)
    numbers: Any = "32-true" if precision == "tf32" else precision  # to Fabric; see `computing`
    if on_node * nodes == 1:
        devices: int | list[int] = [int(number)] if number else 1
        return Fabric(accelerator=kind, devices=devices, precision=numbers)
    # Buffers stay each process's own: queues are equal anyway, statistics are averaged once an epoch.
    known = inspect.signature(DistributedDataParallel.__init__).parameters
    sync = (
        "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    )  # before torch 2.14
    backend = "nccl" if kind == "cuda" else "gloo"
    strategy = DDPStrategy(process_group_backend=backend, **cast(Any, {sync: False}))
    # 1x1 convolutions: two names for one layout.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    fabric = Fabric(accelerator=kind, devices=on_node, num_nodes=nodes, precision=numbers, strategy=strategy)
    fabric.launch()
    return fabric


def _processes() -> tuple[int, int]:
    """Processes on each node, and nodes."""
    if TorchElasticEnvironment.detect():
        on_node = int(os.environ["LOCAL_WORLD_SIZE"])
        return on_node, int(os.environ["WORLD_SIZE"]) // on_node
    if SLURMEnvironment.detect():
        nodes = int(os.environ.get("SLURM_NNODES", "1"))
        return int(os.environ["SLURM_NTASKS"]) // nodes, nodes
    return 1, 1
