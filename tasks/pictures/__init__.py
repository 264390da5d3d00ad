"""One picture: from an image file to the pixels that a model sees, the same way wherever thaw looks at one."""
