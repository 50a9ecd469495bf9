"""A detection task's settings as Detectron2's config: MoCo's yaml files, less what the task does itself.

Images come resized and normalised, and the schedule is ours, so these parts of the config are left alone.
"""

from __future__ import annotations

from typing import Any

from eval_tasks._detection.settings import DetectionTask

ROI_HEADS = "Res5ROIHeadsExtraNorm"
"""The name under which MoCo registers its heads, and we ours."""


def detectron2_config(task: DetectionTask, layers: int, classes: int) -> Any:
    """A config node.

    Args:
        task: Settings.
        layers: Of the ResNet.
        classes: Kinds of objects, background not counted.
    """
    from detectron2.config import get_cfg

    cfg = get_cfg()
    model = cfg.MODEL
    model.DEVICE = "cpu"  # the caller moves it
    model.WEIGHTS = ""
    model.META_ARCHITECTURE = "GeneralizedRCNN"
    model.PIXEL_MEAN, model.PIXEL_STD = [0.0] * 3, [1.0] * 3
    model.MASK_ON = task.masks
    model.BACKBONE.FREEZE_AT = 0
    cfg.INPUT.FORMAT = "RGB"
    cfg.INPUT.MASK_FORMAT = "bitmask"
    _resnet(cfg, task, layers)
    _proposals(cfg, task)
    _heads(cfg, task, classes)
    (_c4 if task.head == "c4" else _fpn)(cfg, task)
    return cfg


def _resnet(cfg: Any, task: DetectionTask, layers: int) -> None:
    resnet = cfg.MODEL.RESNETS
    resnet.DEPTH = layers
    resnet.NORM = "naiveSyncBN" if task.norm == "batch" else "FrozenBN"
    resnet.STRIDE_IN_1X1 = False
    if layers < 50:
        resnet.RES2_OUT_CHANNELS = 64


def _proposals(cfg: Any, task: DetectionTask) -> None:
    rpn = cfg.MODEL.RPN
    rpn.BATCH_SIZE_PER_IMAGE = task.rpn_batch
    rpn.PRE_NMS_TOPK_TRAIN, rpn.PRE_NMS_TOPK_TEST = task.rpn_candidates
    rpn.POST_NMS_TOPK_TRAIN, rpn.POST_NMS_TOPK_TEST = task.proposals
    cfg.MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS = [list(task.anchor_ratios)]


def _heads(cfg: Any, task: DetectionTask, classes: int) -> None:
    heads = cfg.MODEL.ROI_HEADS
    heads.NUM_CLASSES = classes
    heads.BATCH_SIZE_PER_IMAGE = task.roi_batch
    heads.POSITIVE_FRACTION = task.roi_positive
    heads.SCORE_THRESH_TEST = task.score_threshold
    heads.NMS_THRESH_TEST = task.nms
    cfg.TEST.DETECTIONS_PER_IMAGE = task.detections
    for head in (cfg.MODEL.ROI_BOX_HEAD, cfg.MODEL.ROI_MASK_HEAD):
        head.POOLER_SAMPLING_RATIO = task.roi_samples
    cfg.MODEL.ROI_MASK_HEAD.NAME = "MaskRCNNConvUpsampleHead"
    cfg.MODEL.ROI_MASK_HEAD.CONV_DIM = task.mask_dim


def _c4(cfg: Any, task: DetectionTask) -> None:
    model = cfg.MODEL
    model.ANCHOR_GENERATOR.SIZES = [list(task.anchor_sizes)]
    model.ROI_HEADS.NAME = ROI_HEADS if task.norm == "batch" else "Res5ROIHeads"
    model.ROI_BOX_HEAD.POOLER_RESOLUTION = 14
    model.ROI_MASK_HEAD.NUM_CONV = 0
    model.ROI_MASK_HEAD.POOLER_RESOLUTION = 14


def _fpn(cfg: Any, task: DetectionTask) -> None:
    model = cfg.MODEL
    stages = [f"res{stage + 1}" for stage in task.stages]
    maps = [f"p{stage + 1}" for stage in task.stages]
    model.BACKBONE.NAME = "build_resnet_fpn_backbone"
    model.RESNETS.OUT_FEATURES = stages
    model.FPN.IN_FEATURES = stages
    model.FPN.OUT_CHANNELS = task.pyramid_dim
    model.FPN.NORM = "naiveSyncBN" if task.norm == "batch" else ""
    model.ANCHOR_GENERATOR.SIZES = [[size] for size in task.anchor_sizes]
    model.RPN.IN_FEATURES = [*maps, f"p{task.stages[-1] + 2}"]
    model.ROI_HEADS.NAME = "StandardROIHeads"
    model.ROI_HEADS.IN_FEATURES = maps
    model.ROI_BOX_HEAD.NAME = "FastRCNNConvFCHead"
    model.ROI_BOX_HEAD.NUM_FC = 2
    model.ROI_BOX_HEAD.FC_DIM = task.box_dim
    model.ROI_BOX_HEAD.POOLER_RESOLUTION = 7
    model.ROI_MASK_HEAD.NUM_CONV = task.mask_layers
    model.ROI_MASK_HEAD.POOLER_RESOLUTION = 14
