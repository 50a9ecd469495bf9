"""The report's figures as PNG, one file each."""

from reports.figures.artefacts import place_artefacts
from reports.figures.comparison import draw_comparison
from reports.figures.confusion import draw_confusion
from reports.figures.embedding import draw_embedding
from reports.figures.everything import draw_all
from reports.figures.fractions import draw_fractions
from reports.figures.geometry import draw_geometry
from reports.figures.layers import draw_layers
from reports.figures.picture import Picture, cache_of, saved
from reports.figures.pretraining import draw_pretraining
from reports.figures.progress import draw_progress
from reports.figures.sensitivity import draw_sensitivity
from reports.figures.shots import draw_shots
from reports.figures.style import Look, looks, looks_by_label
from reports.figures.training import draw_training
from reports.figures.transfer import draw_transfer

__all__ = [
    "Look",
    "Picture",
    "cache_of",
    "draw_all",
    "draw_comparison",
    "draw_confusion",
    "draw_embedding",
    "draw_fractions",
    "draw_geometry",
    "draw_layers",
    "draw_pretraining",
    "draw_progress",
    "draw_sensitivity",
    "draw_shots",
    "draw_training",
    "draw_transfer",
    "looks",
    "looks_by_label",
    "place_artefacts",
    "saved",
]
