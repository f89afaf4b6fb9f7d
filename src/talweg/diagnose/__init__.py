"""Diagnosis: what goes wrong in training, measured. One measurement per file."""

from talweg.diagnose.attenuation import a_layer, blocked_layers, gradients_by_layer

__all__ = ["a_layer", "blocked_layers", "gradients_by_layer"]
