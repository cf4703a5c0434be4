"""A pretrained CLIP, and the classifier that is made of it."""
