"""The report's pictures, one module each. Matplotlib through its objects; pixels come as NumPy arrays."""
