"""Terms of training objectives. Images are float RGB in [0, 1]; every term is a weighted scalar."""

from losses.adversarial import AdversarialLossOptions, RelativisticAverageGAN
from losses.backbones import LossWeightsError
from losses.lpips_network import LpipsLoss, LpipsLossOptions, build_lpips
from losses.perceptual import PerceptualLoss, PerceptualLossOptions
from losses.pixel import PixelLoss, PixelLossOptions
from losses.spectrum import SpectrumLoss, SpectrumLossOptions

__all__ = [
    "AdversarialLossOptions",
    "LossWeightsError",
    "LpipsLoss",
    "LpipsLossOptions",
    "PerceptualLoss",
    "PerceptualLossOptions",
    "PixelLoss",
    "PixelLossOptions",
    "RelativisticAverageGAN",
    "SpectrumLoss",
    "SpectrumLossOptions",
    "build_lpips",
]
