"""What the source tables call datasets, methods and kinds of training, and what we call them."""

from wiseft_nb.robustness.points import MEAN

MEAN_OF_ALL = "mean of ImageNet and shifts"
PAPER = "Wortsman et al. 2022, arXiv 2109.01903v3, "
# column of the source tables -> full name, number of images
DATASETS = {
    "imagenet": ("ImageNet", 50_000),
    "imagenet_v2": ("ImageNet-V2", 10_000),
    "imagenet_r": ("ImageNet-R", 30_000),
    "imagenet_sketch": ("ImageNet-Sketch", 50_889),
    "objectnet": ("ObjectNet", 18_574),
    "imagenet_a": ("ImageNet-A", 7_500),
    "mean_shift": (MEAN, 10_000 + 30_000 + 50_889 + 18_574 + 7_500),
    "mean_reference_shift": (MEAN_OF_ALL, 50_000 + 10_000 + 30_000 + 50_889 + 18_574 + 7_500),
    "imagenet_vid_robust_pm0": ("ImageNet-Vid-Robust pm-0", 1_109),
    "imagenet_vid_robust_pm10": ("ImageNet-Vid-Robust pm-10", 1_109),
    "ytbb_robust_pm0": ("YTBB-Robust pm-0", 2_030),
    "ytbb_robust_pm10": ("YTBB-Robust pm-10", 2_030),
    "imagenet_on_r_classes": ("ImageNet (classes of ImageNet-R)", 10_000),
    "imagenet_on_a_classes": ("ImageNet (classes of ImageNet-A)", 10_000),
    "imagenet_on_objectnet_classes": ("ImageNet (classes of ObjectNet)", 6_250),
    "imagenet_on_vid_classes": ("ImageNet (classes of ImageNet-Vid-Robust)", 14_400),
    "imagenet_on_ytbb_classes": ("ImageNet (classes of YTBB-Robust)", 11_550),
    "cifar10": ("CIFAR-10", 10_000),
    "cifar10_1": ("CIFAR-10.1 v6", 2_000),
    "cifar10_1_v4": ("CIFAR-10.1 v4", 2_021),
    "cifar10_1_v6": ("CIFAR-10.1 v6", 2_000),
    "cifar10_2": ("CIFAR-10.2", 2_000),
    "cifar100": ("CIFAR-100", 10_000),
    "dtd": ("DTD", 1_880),
    "food101": ("Food-101", 25_250),
    "cars": ("Stanford Cars", 8_041),
    "sun397": ("SUN397", 108_754),
    "held_out": ("ImageNet (held out from training)", 26_000),
}
METHODS = {"E2E": "end-to-end", "LC": "linear classifier"}
TRAINING = {
    "STANDARD": "standard training",
    "MORE_DATA": "more data",
    "ROBUST_INTV": "robustness intervention",
    "LOW_ACCURACY_CNN": "low-accuracy CNN",
    "RANDOM_FEATURES": "random features",
    "RANDOM_FORESTS": "random forest",
    "LINEAR_PIXELS": "linear on pixels",
    "NEAREST_NEIGHBORS": "nearest neighbours",
}
# Table 3 is a table of differences; it is not among the source files
TABLE_3 = {
    ("CLIP ViT-B/16", "E2E"): (0.9, 0.4, 1.4, 0.2, 0.4, 2.4, 0.5, 0.0),
    ("CLIP ViT-B/16", "LC"): (1.8, 0.6, 1.2, 0.1, 0.2, 0.6, 0.1, 0.2),
    ("CLIP ViT-L/14@336px", "E2E"): (0.3, 0.0, 0.9, 0.3, 1.0, 1.1, 0.5, 0.1),
    ("CLIP ViT-L/14@336px", "LC"): (1.6, 0.6, 0.2, 0.0, 0.0, 0.0, 0.0, 0.4),
}
