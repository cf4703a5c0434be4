"""ImageNet and its shifts, in the layouts their authors publish."""
