"""What the notebooks begin with, what keeps them short, and their exercises."""
