"""What this package takes from inside open_clip, in one place: open_clip may move it.

Explained in notebook 03_interpolate.
"""

from collections.abc import Callable

from open_clip import CLIPVisionCfg
from open_clip.model import _build_vision_tower
from open_clip.transform import PreprocessCfg, image_transform_v2
from open_clip.transformer import text_global_pool
from PIL import Image
from torch import Tensor, nn

Transform = Callable[[Image.Image], Tensor]


def build_image_encoder(model_cfg: dict) -> nn.Module:
    """open_clip's image tower alone, untrained."""
    vision = CLIPVisionCfg(**dict(model_cfg["vision_cfg"], timm_model_pretrained=False))
    return _build_vision_tower(model_cfg["embed_dim"], vision, model_cfg.get("quick_gelu", False))


def build_transforms(preprocess_cfg: dict) -> tuple[Transform, Transform]:
    """What makes tensors of images, and what does so with a random crop; alike whether from Python or from JSON."""
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in preprocess_cfg.items()}
    cfg = PreprocessCfg(**values)
    return image_transform_v2(cfg, is_train=False), image_transform_v2(cfg, is_train=True)


def pool_text(model: nn.Module, x: Tensor, tokens: Tensor) -> Tensor:
    """One vector a text, as the model pools, projected."""
    pooled = text_global_pool(model.ln_final(x), tokens, model.text_pool_type)
    projection = model.text_projection
    return projection(pooled) if isinstance(projection, nn.Linear) else pooled @ projection
