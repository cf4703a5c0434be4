"""The bundled benchmark: MNIST and eleven shifts, drawn by code or shipped as images."""
