"""CIFAR-10 and its shifts, in their official files."""
